/** Creates an http(s) server, and starts listening. */
import * as http from "node:http";
import * as https from "node:https";
import type { Socket } from "node:net";
import { settings, type WebSettings } from "../../config/settings";
import { ActionheroError, errorText } from "../../errors";
import { listen, readCertificateFiles } from "../listen";
import { admitConnection } from "../proxies";
import { watchHandOvers } from "../handOver";
import { MAX_HEADERS } from "../requestTarget";
import { WebResponse } from "./write";
import type { WebServer } from "./webServer";
import { destroyAfter } from "../drain";

/**
 * The worker of a cluster stops while others go on to serve: connections that its primary has just handed over, or
 * that are kept alive and about to be used, get their response before they end. In ms.
 */
export const CLUSTER_LINGER_MS = 500;

const NODES_INTERVAL_MS = 30_000;
const MIN_INTERVAL_MS = 500;

export type HttpServer = http.Server | https.Server;

/** A listener that is not listening yet. */
export function prepareListener(
  web: WebServer,
  wanted: ListenerSettings,
  sockets: Sockets,
): HttpServer {
  const handle: http.RequestListener = (req, res) =>
    web.handleRequest(req, res);
  const server = createListener(wanted, handle);
  sockets.watch(server, wanted.secure);
  guardConnections(server, wanted.secure);
  server.on(
    wanted.secure ? "secureConnection" : "connection",
    (socket: Socket) => web.guard(socket),
  );
  watchHandOvers(server, { isBusy: (socket) => web.isBusy(socket) });
  // whether the client may send its body is decided when the body is wanted
  server.on("checkContinue", handle);
  // refused as other requests are, in their order; node would write the response at once
  server.on("checkExpectation", handle);
  return server;
}

/** @throws ActionheroError AH_SERVER_START */
export async function listenOn(
  web: WebServer,
  server: HttpServer,
  wanted: ListenerSettings,
): Promise<void> {
  const { bindIP, port } = wanted;
  await listen(server, wanted, {
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
  // node keeps no more than it is told, silently; `normalizeTarget` refuses requests that have one too many
  server.maxHeadersCount = MAX_HEADERS + 1;
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

// --- Refuses connections before the HTTP server handles them.

const BODY = '{"error":"too many connections"}';
const REFUSAL = [
  "HTTP/1.1 429 Too Many Requests",
  "Content-Type: application/json; charset=utf-8",
  "X-Content-Type-Options: nosniff",
  `Content-Length: ${BODY.length}`,
  "Retry-After: 1",
  "Connection: close",
  "",
  BODY,
].join("\r\n");

/** How many refused clients at a time may take a second to read the reason. */
const MAX_LINGERING = 64;

type Listener = (socket: Socket) => void;

/** Pass only sockets that `admitConnection` accepts to the existing listeners of a server. */
function guardConnections(server: HttpServer, isSecure: boolean): void {
  const listeners = server.listeners("connection") as Listener[];
  const refusal = new Refusal(isSecure);
  server.removeAllListeners("connection");
  server.on("connection", (socket: Socket) => {
    if (!admitConnection(socket)) return refusal.send(socket);
    for (const listener of listeners) listener.call(server, socket);
  });
}

class Refusal {
  private lingering = 0;

  /** @param isSecure the client expects TLS, and could not read a text */
  constructor(private readonly isSecure: boolean) {}

  send(socket: Socket): void {
    socket.on("error", ignore);
    if (this.isSecure || this.lingering >= MAX_LINGERING) {
      socket.destroy();
      return;
    }
    this.lingering++;
    // closing a socket with unread bytes would reset it and discard sent bytes
    socket.resume();
    socket.end(REFUSAL);
    destroyAfter(socket);
    socket.once("end", () => socket.destroy());
    socket.once("close", () => this.lingering--);
  }
}

function ignore(): void {
  // the client is being refused
}

// --- The open sockets of a listener.

/**
 * Open sockets that can carry requests, keyed by an incrementing id. Over TLS they exist once the handshake is done; until
 * then the plain socket below is known only here, so that a stop need not wait for clients that never finish one.
 */
export class Sockets {
  readonly open: { [id: string]: Socket } = {};
  private readonly known = new WeakSet<Socket>();
  /** Plain sockets below TLS by the client's address; on unix sockets all have the same. */
  private readonly handshakes = new Map<string, Set<Socket>>();
  private count = 0;

  watch(server: HttpServer, isSecure: boolean): void {
    if (!isSecure) {
      server.on("connection", (socket: Socket) => this.add(socket));
      return;
    }
    server.on("connection", (socket: Socket) => {
      const key = addressOf(socket);
      const sockets = this.handshakes.get(key) ?? new Set();
      this.handshakes.set(key, sockets.add(socket));
      socket.once("close", () => this.endHandshake(key, socket));
    });
    server.on("secureConnection", (socket: Socket) => {
      this.endHandshake(addressOf(socket));
      this.add(socket);
    });
  }

  destroyHandshakes(): void {
    for (const sockets of [...this.handshakes.values()])
      for (const socket of sockets) socket.destroy();
  }

  /** @param socket default: the one of this address that has received most, which excludes unfinished handshakes */
  private endHandshake(key: string, socket?: Socket): void {
    const sockets = this.handshakes.get(key);
    if (!sockets) return;
    sockets.delete(socket ?? mostRead(sockets));
    if (sockets.size === 0) this.handshakes.delete(key);
  }

  private add(socket: Socket): void {
    if (this.known.has(socket)) return; // passed to the server again, after an ignored upgrade
    this.known.add(socket);
    // node removes its own listener when the socket is handed over (upgrade, CONNECT), and there may be no other
    socket.on("error", ignore);
    const id = String(this.count++);
    this.open[id] = socket;
    socket.once("close", () => delete this.open[id]);
  }
}

function mostRead(sockets: ReadonlySet<Socket>): Socket {
  return [...sockets].reduce((most, one) =>
    one.bytesRead > most.bytesRead ? one : most,
  );
}

function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

// --- The settings of the web server that are checked or combined before it listens.

/** The settings of one listener; there may be two. */
type ListenerSettings = Pick<
  WebSettings,
  | "secure"
  | "port"
  | "bindIP"
  | "bootAttempts"
  | "headersTimeout"
  | "requestTimeout"
  | "keepAliveTimeout"
> & { serverOptions: object };

/** The first listener. */
export function httpListener(): ListenerSettings {
  const { web } = settings();
  return {
    secure: web.secure,
    serverOptions: web.serverOptions,
    port: web.port,
    bindIP: web.bindIP,
    bootAttempts: web.bootAttempts,
    headersTimeout: web.headersTimeout,
    requestTimeout: web.requestTimeout,
    keepAliveTimeout: web.keepAliveTimeout,
  };
}

/** The second listener, with `web.https`. */
export function httpsListener(): ListenerSettings {
  const { options, port, bindIP } = settings().web.https;
  return {
    ...httpListener(),
    secure: true,
    serverOptions: options,
    port,
    bindIP,
  };
}

/** @throws ActionheroError AH_CONFIG for prefixes that contradict each other */
export function checkPrefixes(): void {
  const { rootEndpointType, urlPathForFiles } = settings().web;
  if (!["api", "file", undefined].includes(rootEndpointType)) {
    throw new ActionheroError(
      "AH_CONFIG",
      "rootEndpointType can only be 'api' or 'file'",
    );
  }
  if (!urlPathForFiles && rootEndpointType === "file") {
    throw new ActionheroError(
      "AH_CONFIG",
      'rootEndpointType cannot be "file" without a urlPathForFiles',
    );
  }
}
