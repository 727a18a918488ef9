/** Makes the http(s) server, and takes it down without cutting what runs. */
import * as http from "node:http";
import * as https from "node:https";
import type { Socket } from "node:net";
import { isSecure } from "./hosts";
import { WEB_DEFAULTS, type WebConfig } from "./webConfig";

export type HttpServer = http.Server | https.Server;

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
