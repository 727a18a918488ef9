/** A small HTTP server beside those of the project: for probes and scrapers, on a port of their own. */
import * as http from "node:http";
import { ActionheroError } from "../errors";

/** Clients that do not send their request, in ms. */
const REQUEST_MS = 5_000;

/** How often they are looked for, in ms. */
const CHECK_MS = 1_000;
/** More connections are closed at once: probes and scrapers need few, and each costs a descriptor. */
const MAX_CONNECTIONS = 256;

/** How many ports are tried, at most. */
const MAX_PORTS = 64;

export interface PlainServerOptions {
  /** What it serves, for the error. */
  purpose: string;
  port: number;
  /** Default: all addresses. */
  host?: string;
  /** Take the first free port from `port` on, and do not share it with other processes of a cluster. */
  findsPort?: boolean;
}

/** @throws ActionheroError AH_SERVER_START when the port is taken */
export async function startPlainServer(
  options: PlainServerOptions,
  listener: http.RequestListener,
): Promise<http.Server> {
  const server = http.createServer(
    {
      requestTimeout: REQUEST_MS,
      headersTimeout: REQUEST_MS,
      connectionsCheckingInterval: CHECK_MS,
    },
    listener,
  );
  server.maxConnections = MAX_CONNECTIONS;
  const { findsPort = false, purpose, host } = options;
  for (let { port } = options; ; port++) {
    try {
      await listen(server, { port, host, exclusive: findsPort });
      return server;
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      const isLast = port >= options.port + MAX_PORTS - 1;
      if (findsPort && code === "EADDRINUSE" && !isLast) continue;
      throw new ActionheroError(
        "AH_SERVER_START",
        `cannot listen for ${purpose} @ ${host ?? "::"}:${port} => ${String(cause)}`,
        { cause },
      );
    }
  }
}

/** Connections are cut: who asks here asks again. */
export async function stopPlainServer(
  server: http.Server | undefined,
): Promise<void> {
  if (!server) return;
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

function listen(
  server: http.Server,
  options: { port: number; host: string | undefined; exclusive: boolean },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
