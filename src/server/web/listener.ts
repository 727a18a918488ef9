/** Creates an http(s) server, starts listening, and stops it gracefully. */
import * as http from "node:http";
import * as https from "node:https";
import type { Socket } from "node:net";
import { errorText } from "../../errors";
import { sleep, waitAtMost } from "../../utils/promises";
import { readCertificateFiles } from "../certificateFiles";
import { isHandedOver, watchHandOvers } from "../handOver";
import { listen } from "../listen";
import { stopListening } from "../staleSocket";
import { guardConnections } from "./guard";
import type { Sockets } from "./sockets";
import type { ListenerSettings } from "./webConfig";
import { WebResponse } from "./webResponse";
import type { WebServer } from "./webServer";

/**
 * The worker of a cluster stops while others go on to serve: connections that its primary has just handed over, or
 * that are kept alive and about to be used, get their answer before they end. In ms.
 */
export const CLUSTER_LINGER_MS = 500;

const NODES_INTERVAL_MS = 30_000;
const MIN_INTERVAL_MS = 500;

export type HttpServer = http.Server | https.Server;

/** A listener that is not listening yet. */
export function prepareListener(
  web: WebServer,
  settings: ListenerSettings,
  sockets: Sockets,
): HttpServer {
  const handle: http.RequestListener = (req, res) =>
    web.handleRequest(req, res);
  const server = createListener(settings, handle);
  sockets.watch(server, settings.secure);
  guardConnections(server, settings.secure);
  watchHandOvers(server, { isBusy: (socket) => web.isBusy(socket) });
  // whether the client may send its body is decided when the body is wanted
  server.on("checkContinue", handle);
  return server;
}

/** @throws ActionheroError AH_SERVER_START */
export async function listenOn(
  web: WebServer,
  server: HttpServer,
  settings: ListenerSettings,
): Promise<void> {
  const { bindIP, port } = settings;
  await listen(server, settings, {
    type: web.type,
    log: (message, severity) => web.log(message, severity),
    describe: (error) =>
      `cannot start web server @ ${bindIP}:${port} => ${errorText(error)}`,
  });
  server.on("error", (error) =>
    web.log(`error of the listening socket: ${errorText(error)}`, "error"),
  );
}

function createListener(
  config: ListenerSettings,
  handler: http.RequestListener,
): HttpServer {
  const options: Record<string, unknown> = {
    ServerResponse: WebResponse,
    connectionsCheckingInterval: checkingInterval(config),
    ...config.serverOptions,
  };
  const server = config.secure
    ? https.createServer(readCertificateFiles(options), handler)
    : http.createServer(options, handler);
  // slow clients: these bound how long headers and bodies may take to arrive
  server.headersTimeout = config.headersTimeout;
  server.requestTimeout = config.requestTimeout;
  server.keepAliveTimeout = config.keepAliveTimeout;
  return server;
}

/** Node checks the timeouts of connections every 30 s, too rarely for short ones. */
function checkingInterval({
  headersTimeout,
  requestTimeout,
}: ListenerSettings): number {
  const timeouts = [headersTimeout, requestTimeout].filter((ms) => ms > 0);
  const shortest = Math.min(...timeouts);
  return Math.min(NODES_INTERVAL_MS, Math.max(MIN_INTERVAL_MS, shortest / 2));
}

export interface DrainOptions {
  /** The open connections. */
  sockets: () => Iterable<Socket>;
  /** Whether a request is in flight on a connection. */
  isBusy: (socket: Socket) => boolean;
  /**
   * How long connections without a request in flight may still bring one, which is answered with
   * `Connection: close`, in ms. 0 ends them at once.
   */
  lingerMs: number;
}

/** Stops accepting connections, and lets requests in flight finish. */
export class Drain {
  private readonly closed: Promise<unknown>;
  private readonly idleEnded: Promise<void>;

  constructor(
    private readonly servers: readonly HttpServer[],
    private readonly options: DrainOptions,
  ) {
    this.closed = Promise.all(
      servers.map(
        (server) =>
          new Promise<void>((resolve) => stopListening(server, resolve)),
      ),
    );
    this.idleEnded = this.endIdle();
  }

  /**
   * Wait for the requests in flight, and abort the remaining ones at the deadline.
   * @param timeoutMs from now on
   * @returns the number of aborted connections
   */
  async finish(timeoutMs: number): Promise<number> {
    const { isBusy } = this.options;
    const drained = this.idleEnded.then(() => {
      // including upgraded connections
      for (const socket of this.sockets())
        if (!isBusy(socket)) socket.destroySoon();
      return this.closed;
    });
    if (await waitAtMost(timeoutMs, drained)) return 0;

    const left = this.sockets().filter((socket) => !socket.destroyed);
    for (const socket of left) socket.destroy();
    for (const server of this.servers) server.closeAllConnections();
    await this.closed;
    return left.length;
  }

  private async endIdle(): Promise<void> {
    const { isBusy, lingerMs } = this.options;
    if (lingerMs > 0) await sleep(lingerMs);
    for (const server of this.servers) server.closeIdleConnections();
    for (const socket of this.sockets())
      if (!isBusy(socket) && !isHandedOver(socket)) socket.destroySoon();
  }

  private sockets(): Socket[] {
    return [...this.options.sockets()];
  }
}
