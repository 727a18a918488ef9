/** Makes the http(s) server, gets it to listen, and takes it down without cutting what runs. */
import * as fs from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import type { Socket } from "node:net";
import { ActionheroError, toError } from "../../errors";
import { isSecure } from "./hosts";
import { WEB_DEFAULTS, type WebConfig } from "./webConfig";

export type HttpServer = http.Server | https.Server;

type Log = (message: string, severity: "error" | "warning") => void;

/** How long to wait before another attempt to listen. */
const RETRY_MS = 1000;

export function createListener(
  config: WebConfig,
  handler: http.RequestListener,
): HttpServer {
  const options = { ...config.serverOptions };
  const server = isSecure(config)
    ? https.createServer(options, handler)
    : http.createServer(options, handler);
  // slow clients: these bound how long headers and bodies may take to arrive
  server.headersTimeout = config.headersTimeout ?? WEB_DEFAULTS.headersTimeout;
  server.requestTimeout = config.requestTimeout ?? WEB_DEFAULTS.requestTimeout;
  server.keepAliveTimeout =
    config.keepAliveTimeout ?? WEB_DEFAULTS.keepAliveTimeout;
  return server;
}

/**
 * Listen as configured, again after failures, up to `config.bootAttempts` times.
 * @throws ActionheroError AH_SERVER_START
 */
export async function listen(
  server: HttpServer,
  config: WebConfig,
  log: Log,
): Promise<void> {
  const attempts = config.bootAttempts ?? 1;
  for (let attempt = 1; ; attempt++) {
    try {
      await listenOnce(server, config);
      return;
    } catch (thrown) {
      const error = toError(thrown);
      if (attempt >= attempts) {
        throw new ActionheroError(
          "AH_SERVER_START",
          `cannot start web server @ ${config.bindIP}:${config.port} => ${error.toString()}`,
          { cause: error },
        );
      }
      log(
        `cannot boot web server; trying again [${error.toString()}]`,
        "error",
      );
      if (attempt === 1) removeStaleSocket(config, log);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      log("attempting to boot again..", "warning");
    }
  }
}

function listenOnce(server: HttpServer, config: WebConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (done: () => void) => {
      server.off("error", onError);
      server.off("listening", onListening);
      done();
    };
    const onError = (error: NodeJS.ErrnoException) =>
      settle(() => reject(error));
    const onListening = () =>
      settle(() => {
        const socketPath = unixSocketOf(config);
        if (socketPath) fs.chmodSync(socketPath, 0o777);
        resolve();
      });
    server.once("error", onError);
    server.once("listening", onListening);
    const socketPath = unixSocketOf(config);
    if (socketPath) server.listen(socketPath);
    else server.listen(Number(config.port ?? 0), hostOf(config));
  });
}

function hostOf({ bindIP }: WebConfig): string | undefined {
  return bindIP || undefined;
}

/** A port that is a path is a unix socket. */
function unixSocketOf({ bindIP, port }: WebConfig): string | undefined {
  return !bindIP && typeof port === "string" && port.includes("/")
    ? port
    : undefined;
}

function removeStaleSocket(config: WebConfig, log: Log): void {
  const socketPath = unixSocketOf(config);
  if (!socketPath) return;
  try {
    fs.unlinkSync(socketPath);
    log(`removed stale unix socket @ ${socketPath}`, "warning");
  } catch (error) {
    log(
      `cannot remove stale socket @ ${socketPath}: ${toError(error).toString()}`,
      "error",
    );
  }
}

/**
 * Stop taking connections, let those with a request in flight finish, and cut what is left at the deadline.
 * @param isBusy whether a request is in flight on a connection
 * @returns how many connections were cut
 */
export async function drain(
  server: HttpServer,
  sockets: Iterable<Socket>,
  isBusy: (socket: Socket) => boolean,
  timeoutMs: number,
): Promise<number> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const socket of sockets) if (!isBusy(socket)) socket.destroySoon();

  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<"deadline">((resolve) => {
    timer = setTimeout(() => resolve("deadline"), timeoutMs);
  });
  const outcome = await Promise.race([closed, deadline]);
  clearTimeout(timer);
  if (outcome !== "deadline") return 0;

  const left = [...sockets].filter((socket) => !socket.destroyed);
  for (const socket of left) socket.destroy();
  server.closeAllConnections();
  await closed;
  return left.length;
}
