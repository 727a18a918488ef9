/** Makes the http(s) server, and takes it down without cutting what runs. */
import * as http from "node:http";
import * as https from "node:https";
import type { Socket } from "node:net";
import { sleep } from "../../utils/sleep";
import { readCertificateFiles } from "../certificateFiles";
import { stopListening } from "../staleSocket";
import { isSecure } from "./hosts";
import { WEB_DEFAULTS, type WebConfig } from "./webConfig";
import { WebResponse } from "./webResponse";

/**
 * The worker of a cluster stops while others go on to serve: connections that its primary has just handed over, or
 * that are kept alive and about to be used, get their answer before they end. In ms.
 */
export const CLUSTER_LINGER_MS = 500;

export type HttpServer = http.Server | https.Server;

export function createListener(
  config: WebConfig,
  handler: http.RequestListener,
): HttpServer {
  const options: Record<string, unknown> = {
    ServerResponse: WebResponse,
    ...config.serverOptions,
  };
  const server = isSecure(config)
    ? https.createServer(readCertificateFiles(options), handler)
    : http.createServer(options, handler);
  // slow clients: these bound how long headers and bodies may take to arrive
  server.headersTimeout = config.headersTimeout ?? WEB_DEFAULTS.headersTimeout;
  server.requestTimeout = config.requestTimeout ?? WEB_DEFAULTS.requestTimeout;
  server.keepAliveTimeout =
    config.keepAliveTimeout ?? WEB_DEFAULTS.keepAliveTimeout;
  return server;
}

export interface DrainOptions {
  /** The connections that are open at the moment. */
  sockets: () => Iterable<Socket>;
  /** Whether a request is in flight on a connection. */
  isBusy: (socket: Socket) => boolean;
  /** What is left after this long is cut, in ms. */
  timeoutMs: number;
  /**
   * How long connections without a request in flight may still bring one, which is answered with
   * `Connection: close`, in ms. 0 ends them at once.
   */
  lingerMs: number;
}

/** Drain several servers side by side. */
export async function drainAll(
  servers: readonly HttpServer[],
  options: DrainOptions,
): Promise<number> {
  const cuts = await Promise.all(
    servers.map((server) => drain(server, options)),
  );
  return cuts.reduce((sum, cut) => sum + cut);
}

/**
 * Stop taking connections, let those with a request in flight finish, and cut what is left at the deadline.
 * @returns how many connections were cut
 */
async function drain(
  server: HttpServer,
  { sockets, isBusy, timeoutMs, lingerMs }: DrainOptions,
): Promise<number> {
  const closed = new Promise<void>((resolve) => stopListening(server, resolve));
  if (lingerMs > 0) await sleep(Math.min(lingerMs, timeoutMs));
  server.close(); // now those that are idle, and http's own timer
  for (const socket of sockets()) if (!isBusy(socket)) socket.destroySoon();

  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<"deadline">((resolve) => {
    timer = setTimeout(() => resolve("deadline"), timeoutMs);
  });
  const outcome = await Promise.race([closed, deadline]);
  clearTimeout(timer);
  if (outcome !== "deadline") return 0;

  const left = [...sockets()].filter((socket) => !socket.destroyed);
  for (const socket of left) socket.destroy();
  server.closeAllConnections();
  await closed;
  return left.length;
}
