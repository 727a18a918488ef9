/** Handles upgrades on the web server's listeners: the path of websockets, and which of them are accepted. */
import type {
  IncomingMessage,
  Server as HttpServer,
  ServerResponse,
} from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Server as TlsServer } from "node:tls";
import * as wsModule from "ws";
import { type PerMessageDeflateOptions, WebSocketServer as WsServer } from "ws";
import { settings, type WebsocketSettings } from "../../config/settings";
import type { AuthorizationRequest, PrimusOptions } from "../../config/types";
import {
  ActionheroError,
  errorText,
  httpFactsOf,
  toError,
  type HttpErrorHeaders,
} from "../../errors";
import { isThenable } from "../../utils/promises";
import { shownToClients } from "../../exposure/errors";
import { normalizeTarget } from "../requestTarget";
import { RETRY_AFTER_SECONDS } from "../../overload/overload";
import { serveWhenBooted, isBooting, STARTING_TEXT } from "../booting";
import {
  endAfterResponses,
  hasOtherTakers,
  refuseSocket as refuse,
  takeBack,
} from "../handOver";
import {
  respondToPlainRequest,
  isBelow,
  websocketPath,
  isAllowedOrigin,
} from "./plainRequests";
import { queryOf, SparkSocket } from "./spark";
import type { WebSocketServer } from "./webSocketServer";

/** The timeout of the project's `authorization`, in ms. */
const AUTHORIZATION_MS = 10_000;

type Interceptor = (req: IncomingMessage, res: ServerResponse) => boolean;

/** The required part of the web server. */
export interface WebListener {
  server: HttpServer;
  /** Its second listener, if any. */
  httpsServer?: HttpServer;
  interceptors?: Interceptor[];
  /** Whether a request of a connection has no response yet. */
  isBusy?(socket: Socket): boolean;
}

/**
 * Fragments of one message, and chunks of one frame, each of which takes some hundred bytes of memory however short it is.
 * A message of 10 MiB has as many chunks when each TCP segment is one.
 */
const MAX_FRAGMENTS = 1024;
const MAX_CHUNKS = 16 * 1024;

type UpgradeCallback = (
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
) => void;

/**
 * Newer versions of Node (22.21, 24.9) let the server decide whether to upgrade a request, and serve it normally if
 * not.
 */
interface AskingServer {
  shouldUpgradeCallback?: (req: IncomingMessage) => boolean;
}

export class UpgradeHandler {
  private readonly ws: WsServer;
  private readonly deflate: PerMessageDeflateOptions | false;
  private readonly upgrades: UpgradeListener[];
  private readonly interceptor: Interceptor;
  /** The cookies of upgrade responses in progress. */
  private readonly cookies = new WeakMap<IncomingMessage, string>();

  constructor(
    private readonly web: WebListener,
    private readonly host: WebSocketServer,
  ) {
    const { server, bind, closeTimeout } = settings().websocket;
    this.deflate = deflateOf(server.compression);
    this.ws = new WsServer({
      noServer: true,
      clientTracking: false,
      WebSocket: SparkSocket,
      maxPayload: server.maxLength,
      maxFragments: MAX_FRAGMENTS,
      maxBufferedChunks: MAX_CHUNKS,
      perMessageDeflate: this.deflate,
      // missing in @types/ws: how long a peer may take to confirm a close
      ...{ closeTimeout },
    });
    this.upgrades = listenersOf(web, bind).map(
      (listener) =>
        new UpgradeListener(listener, host, web, (...upgrade) =>
          this.accept(...upgrade),
        ),
    );
    this.ws.on("headers", (headers, req) => {
      const cookie = this.cookies.get(req);
      if (cookie !== undefined) headers.push(`Set-Cookie: ${cookie}`);
    });
    // for a host name that is not allowed, the web server redirects to an allowed one
    this.interceptor = (req, res) =>
      host.allowsHost(req) &&
      respondToPlainRequest(req, res, () => host.library());
    web.interceptors?.push(this.interceptor);
  }

  close(): void {
    for (const upgrades of this.upgrades) upgrades.detach();
    const { interceptors } = this.web;
    const at = interceptors?.indexOf(this.interceptor) ?? -1;
    if (at !== -1) interceptors!.splice(at, 1);
    this.ws.close();
  }

  private accept(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { fingerprint, setCookie } = this.host.identify(req);
    if (setCookie !== undefined) this.cookies.set(req, setCookie);
    if (this.deflate !== false) keepAcceptable(req, this.deflate);
    this.ws.handleUpgrade(req, socket, head, (ws: unknown) => {
      try {
        this.host.onSocket(ws as SparkSocket, req, fingerprint);
      } catch (error) {
        // the response has been sent
        socket.destroy();
        this.host.log(
          `a websocket could not be opened: ${errorText(error)}`,
          "error",
          { stack: (error as Error | null)?.stack },
        );
      }
    });
  }
}

const OFFERS = "sec-websocket-extensions";

const library: object = wsModule;

/** The negotiation of `ws` itself; missing in @types/ws. */
const { extension, PerMessageDeflate } = library as {
  extension: {
    parse: (header: string) => { [name: string]: object[] | undefined };
  };
  PerMessageDeflate: new (options: object) => {
    accept: (offers: object[]) => object;
  };
};

/**
 * Remove the offers of compression that cannot be met. RFC 7692 section 5.1 wants them declined; `ws` would refuse the
 * whole websocket for one of them. A header that is malformed is left to `ws`, which refuses it.
 */
function keepAcceptable(
  { headers }: IncomingMessage,
  options: PerMessageDeflateOptions,
): void {
  const header = headers[OFFERS];
  if (header === undefined || !isParsable(header)) return;
  const kept = header
    .split(",") // which no quoted value contains
    .map((offer) => offer.trim())
    .filter((offer) => isAcceptable(offer, options));
  if (kept.length > 0) headers[OFFERS] = kept.join(",");
  else delete headers[OFFERS];
}

function isParsable(header: string): boolean {
  try {
    extension.parse(header);
    return true;
  } catch {
    return false;
  }
}

function isAcceptable(
  offer: string,
  options: PerMessageDeflateOptions,
): boolean {
  try {
    const { "permessage-deflate": offers } = extension.parse(offer);
    if (offers === undefined) return false;
    new PerMessageDeflate({ ...options, isServer: true }).accept(offers);
    return true;
  } catch {
    return false;
  }
}

/**
 * The listeners of the web server that accept websockets.
 * @throws ActionheroError AH_SERVER_START when it has no listener of the configured kind
 */
function listenersOf(
  { server, httpsServer }: WebListener,
  bind: WebsocketSettings["bind"],
): HttpServer[] {
  const all = httpsServer ? [server, httpsServer] : [server];
  const found = all.filter(
    (listener) =>
      bind === undefined || bind === (isTls(listener) ? "https" : "http"),
  );
  if (found.length > 0) return found;
  throw new ActionheroError(
    "AH_SERVER_START",
    `websocket.bind is "${bind}", but the web server does not listen for ${bind}`,
  );
}

function isTls(listener: HttpServer): boolean {
  return listener instanceof TlsServer;
}

/**
 * Disabled by default, because it multiplies the cost of a message. The state of a compressor is not kept between
 * messages, because that takes about 300 KB per client; an object of options for `ws` can override this.
 */
function deflateOf(
  compression: WebsocketSettings["server"]["compression"],
): PerMessageDeflateOptions | false {
  if (compression === true)
    return { serverNoContextTakeover: true, clientNoContextTakeover: true };
  return compression || false;
}

/** One listener of an HTTP server's `upgrade`, beside those that others have. */
class UpgradeListener {
  private readonly askedBefore: AskingServer["shouldUpgradeCallback"];
  private readonly listener: UpgradeCallback = (req, socket, head) =>
    this.safely(socket, () => this.handle(req, socket, head));

  /** @param accept called for a request that may become a websocket */
  constructor(
    private readonly server: HttpServer,
    private readonly host: WebSocketServer,
    private readonly web: WebListener,
    private readonly accept: UpgradeCallback,
  ) {
    server.on("upgrade", this.listener);
    const asking = server as AskingServer;
    this.askedBefore = asking.shouldUpgradeCallback;
    if (this.askedBefore)
      asking.shouldUpgradeCallback = (req) =>
        asksForWebsocket(req) || this.hasOthers();
  }

  detach(): void {
    this.server.off("upgrade", this.listener);
    if (this.askedBefore)
      (this.server as AskingServer).shouldUpgradeCallback = this.askedBefore;
  }

  /** Whether others listen for upgrades, too. */
  private hasOthers(): boolean {
    return hasOtherTakers(this.server, this.listener);
  }

  /** What fails before the websocket is open is a response; nobody else would catch it. */
  private safely(socket: Duplex, work: () => void): void {
    try {
      work();
    } catch (error) {
      refuseFailed(socket, error, this.host);
    }
  }

  private handle(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    // the response to an earlier request would be written between the frames
    if (this.web.isBusy?.(req.socket) === true) {
      socket.resume(); // or nobody would notice that the client leaves
      return endAfterResponses(socket);
    }
    const fault = normalizeTarget(req);
    if (fault) return refuse(socket, fault.status, fault.text);
    const isWebsocket = asksForWebsocket(req);
    if (!isWebsocket || !isBelow(req.url ?? "/", websocketPath()))
      return this.leave(req, socket, head, isWebsocket);
    if (!isBooting()) return this.decide(req, socket, head);
    const onError = () => socket.destroy();
    socket.on("error", onError);
    serveWhenBooted(
      req.socket,
      () => {
        socket.off("error", onError);
        if (!socket.destroyed)
          this.safely(socket, () => this.decide(req, socket, head));
      },
      () =>
        refuse(socket, 503, STARTING_TEXT, {
          "Retry-After": RETRY_AFTER_SECONDS,
        }),
    );
  }

  private decide(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    const options = settings().websocket.server;
    if (this.host.isDraining)
      return refuse(socket, 503, "the server is shutting down");
    if (!this.host.allowsHost(req))
      return refuse(socket, 403, "this host is not allowed");
    if (!isAllowedOrigin(req.headers.origin) || this.host.isForged(req))
      return refuse(socket, 403, "this origin is not allowed");
    if (typeof options.authorization !== "function")
      return this.accept(req, socket, head);
    this.authorize(req, socket, head);
  }

  /** Not ours: another listener's, if there is one. The web server refuses what no listener takes. */
  private leave(
    req: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    isWebsocket: boolean,
  ): void {
    if (this.hasOthers()) return;
    if (isWebsocket) refuse(socket, 404, "there is no websocket here");
    else serveWithoutUpgrade(this.server, req, socket, head);
  }

  private authorize(
    req: AuthorizationRequest,
    socket: Duplex,
    head: Buffer,
  ): void {
    req.query = queryOf(req.url ?? "/");
    req.forwarded = this.host.addressOf(req);
    const onError = () => socket.destroy();
    socket.on("error", onError);
    let isDecided = false;
    const decide = (act: () => void) => {
      if (isDecided) return;
      isDecided = true;
      clearTimeout(timer);
      socket.off("error", onError);
      if (this.host.isDraining)
        refuse(socket, 503, "the server is shutting down");
      else this.safely(socket, act);
    };
    const timer = setTimeout(
      () =>
        decide(() => refuse(socket, 503, "the authorization took too long")),
      AUTHORIZATION_MS,
    ).unref();
    const done: Parameters<NonNullable<PrimusOptions["authorization"]>>[1] = (
      error,
    ) =>
      decide(() => {
        if (!error) this.accept(req, socket, head);
        else refuseUnauthorized(socket, error);
      });
    const fail = (error: unknown) =>
      decide(() => refuseFailed(socket, error, this.host));
    try {
      const promise = settings().websocket.server.authorization!(req, done);
      if (isThenable(promise)) promise.then(undefined, fail);
    } catch (error) {
      fail(error);
    }
  }
}

function asksForWebsocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === "websocket";
}

/** The hook has failed instead of deciding: what clients read of that is what they read of any error. */
function refuseFailed(socket: Duplex, thrown: unknown, host: WebSocketServer) {
  const { error, id } = shownToClients(thrown);
  const { message } = toError(error);
  const { status, headers } = httpFactsOf(error);
  if (id === undefined)
    return refuseUnauthorized(socket, { message, statusCode: status }, headers);
  host.log(`the upgrade of a websocket failed: ${errorText(thrown)}`, "error", {
    errorId: id,
    stack: (thrown as Error | null)?.stack,
  });
  refuseUnauthorized(socket, { message, statusCode: 500 });
}

function refuseUnauthorized(
  socket: Duplex,
  error:
    string | { message?: string; statusCode?: number; authenticate?: string },
  more: HttpErrorHeaders = {},
): void {
  const { message, statusCode, authenticate } =
    typeof error === "string"
      ? { message: error }
      : { ...error, message: error.message };
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(more))
    headers[name] = String(value);
  headers["Content-Type"] = "application/json";
  if (authenticate) headers["WWW-Authenticate"] = authenticate;
  const status = Number(statusCode);
  const body = JSON.stringify({ error: message ?? "not authorized" });
  refuse(socket, status >= 400 && status < 600 ? status : 401, body, headers);
}

/**
 * Let the HTTP server treat a request as if it had not asked for an upgrade, as it does without an `upgrade` listener:
 * some clients offer HTTP/2 on every request (`Upgrade: h2c`), and are content with a response in HTTP/1.
 *
 * Only for versions of Node that do not ask whether to upgrade. Its bytes are put back and the socket is handed to the
 * server again; emitting `connection` is node's way for that.
 */
function serveWithoutUpgrade(
  server: HttpServer,
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  const lines = [`${req.method} ${req.url} HTTP/${req.httpVersion}`];
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const name = req.rawHeaders[i]!;
    let value = req.rawHeaders[i + 1]!;
    if (/^(?:upgrade|http2-settings)$/i.test(name)) continue;
    if (/^connection$/i.test(name))
      value = value
        .split(",")
        .map((option) => option.trim())
        .filter((option) => !/^(?:upgrade|http2-settings)$/i.test(option))
        .join(", ");
    if (value !== "") lines.push(`${name}: ${value}`);
  }
  const bytes = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  socket.unshift(Buffer.concat([bytes, head]));
  takeBack(socket as Socket);
  const isSecure = "encrypted" in socket;
  server.emit(isSecure ? "secureConnection" : "connection", socket);
}
