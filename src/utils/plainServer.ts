/** A small HTTP server for probes and scrapers, on a separate port. */
import * as http from "node:http";
import { ActionheroError } from "../errors";

/** Timeout of clients that do not send a request, in ms. */
const REQUEST_MS = 5_000;

/** The interval of checks for them, in ms. */
const CHECK_MS = 1_000;
/** More connections are closed at once: probes and scrapers need few, and each costs a descriptor. */
const MAX_CONNECTIONS = 256;

/** How long a stop waits for requests, in ms: probes and scrapers retry. */
const STOP_MS = 1_000;

/** The maximum number of ports to try. */
const MAX_PORTS = 64;

export interface PlainServerOptions {
  /** Its purpose, for the error message. */
  purpose: string;
  /** The namespace of the configuration that has the port. */
  config: string;
  port: number;
  /** Default: all addresses. */
  host?: string;
  /** Use the first free port, starting at `port`, and do not share it with other processes of a cluster. */
  findsPort?: boolean;
}

/** @throws ActionheroError AH_SERVER_START when the port is occupied */
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
  const { findsPort = false, purpose, config, host } = options;
  for (let { port } = options; ; port++) {
    try {
      await listen(server, { port, host, exclusive: findsPort });
      return server;
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      const isLast = port >= options.port + MAX_PORTS - 1;
      if (findsPort && code === "EADDRINUSE" && !isLast) continue;
      const error = new ActionheroError(
        "AH_SERVER_START",
        `cannot listen for ${purpose} @ ${host ?? "::"}:${port} => ${String(cause)}`,
        { cause },
      );
      throw Object.assign(error, { data: { config } });
    }
  }
}

/** Idle connections end at once; a request under way has `STOP_MS` to get its response. */
export async function stopPlainServer(
  server: http.Server | undefined,
): Promise<void> {
  if (!server) return;
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), STOP_MS);
  await closed;
  clearTimeout(timer);
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
