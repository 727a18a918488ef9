/** Checks that the ports of the enabled servers are free. */
import * as net from "node:net";
import { toError } from "../../errors";
import { fail, ok, warn, type Finding } from "./finding";

/** The settings of one server that say where it listens. */
export interface ListenSettings {
  enabled?: unknown;
  port?: unknown;
  bindIP?: unknown;
}

/**
 * Try to listen where the server would; a path of a unix socket is left to the server.
 * An occupied port is a `fail` if the boot would fail, and a `warn` if the boot would continue
 * without the server.
 */
export async function checkPort(
  server: string,
  settings: ListenSettings | undefined,
  env: string,
): Promise<Finding | undefined> {
  if (!settings?.port) return undefined;
  const optional = isOptional(server, settings, env);
  if (!settings.enabled && !optional) return undefined;
  const port = Number(settings.port);
  if (!Number.isInteger(port)) return undefined;

  const check = `${server} port`;
  try {
    await listenOnce(port, settings.bindIP as string | undefined);
    return ok(check, `${port} is free`);
  } catch (error) {
    const isTaken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
    if (isTaken && optional)
      return warn(
        check,
        `${port} is in use by another process: the server starts without this transport`,
      );
    if (isTaken) return fail(check, `${port} is taken by another process`);
    return fail(check, `cannot listen on ${port}: ${toError(error).message}`);
  }
}

/** Without an explicit setting, the socket server is enabled in development if its port is free. */
function isOptional(
  server: string,
  { enabled }: ListenSettings,
  env: string,
): boolean {
  return (
    server === "socket" && typeof enabled !== "boolean" && env === "development"
  );
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
