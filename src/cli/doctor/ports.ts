/** Checks that the ports of the enabled servers are free. */
import * as net from "node:net";
import { toError } from "../../errors";
import { fail, ok, type Finding } from "./finding";

/** The settings of one server that say where it listens. */
export interface ListenSettings {
  enabled?: unknown;
  port?: unknown;
  bindIP?: unknown;
}

/** Try to listen where the server would; a path of a unix socket is left to the server. */
export async function checkPort(
  server: string,
  settings: ListenSettings | undefined,
): Promise<Finding | undefined> {
  if (!settings?.enabled || !settings.port) return undefined;
  const port = Number(settings.port);
  if (!Number.isInteger(port)) return undefined;

  const check = `${server} port`;
  try {
    await listenOnce(port, settings.bindIP as string | undefined);
    return ok(check, `${port} is free`);
  } catch (error) {
    const { code, message } = toError(error) as NodeJS.ErrnoException;
    if (code === "EADDRINUSE")
      return fail(check, `${port} is taken by another process`);
    return fail(check, `cannot listen on ${port}: ${message}`);
  }
}

function listenOnce(port: number, host?: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen({ port, host: host || undefined }, () =>
      server.close(() => resolve()),
    );
  });
}
