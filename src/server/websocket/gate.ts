/** The way in: the path on the web server's listener where websockets begin. */
import type {
  IncomingMessage,
  Server as HttpServer,
  ServerResponse,
} from "node:http";
import type { Duplex } from "node:stream";
import { Server as TlsServer } from "node:tls";
import { WebSocketServer as WsServer } from "ws";
import { settings, type WebsocketSettings } from "../../config/settings";
import { ActionheroError } from "../../errors";
import type { ActionheroLogLevel } from "../../log/log";
import type { Identity } from "../identity";
import { answerPlainRequest } from "./plainRequests";
import type { SparkAddress } from "./spark";
import { SparkSocket } from "./sparkSocket";
import { UpgradeListener } from "./upgrade";

type Interceptor = (req: IncomingMessage, res: ServerResponse) => boolean;

/** The web server, as far as it is needed. */
export interface WebListener {
  server: HttpServer;
  /** Its second listener, if it has one. */
  httpsServer?: HttpServer;
  interceptors?: Interceptor[];
}

export interface GateHost {
  addressOf(req: IncomingMessage): SparkAddress;
  /** Whether the request came by a name that websockets may be reached by. */
  allowsHost(req: IncomingMessage): boolean;
  isForged(req: IncomingMessage): boolean;
  log(message: string, severity?: ActionheroLogLevel, data?: any): void;
  /** Who upgrades, and the cookie that the answer carries; either may be missing. */
  identify(req: IncomingMessage): Partial<Identity>;
  /** The source of the browser library. */
  library(): string;
  /** @param fingerprint undefined for a client without an identity */
  onSocket(
    ws: SparkSocket,
    req: IncomingMessage,
    fingerprint: string | undefined,
  ): void;
}

export class Gate {
  private readonly ws: WsServer;
  private readonly upgrades: UpgradeListener[];
  private readonly interceptor: Interceptor;
  /** For answers that are just being made. */
  private readonly cookies = new WeakMap<IncomingMessage, string>();

  constructor(
    private readonly web: WebListener,
    private readonly host: GateHost,
  ) {
    const { server, bind, closeTimeout } = settings().websocket;
    this.ws = new WsServer({
      noServer: true,
      clientTracking: false,
      WebSocket: SparkSocket,
      maxPayload: server.maxLength,
      perMessageDeflate: deflateOf(server.compression),
      // of @types/ws not yet known: how long a peer may take to answer a close
      ...{ closeTimeout },
    });
    this.upgrades = listenersOf(web, bind).map(
      (listener) =>
        new UpgradeListener(listener, host, (...upgrade) =>
          this.accept(...upgrade),
        ),
    );
    this.ws.on("headers", (headers, req) => {
      const cookie = this.cookies.get(req);
      if (cookie !== undefined) headers.push(`Set-Cookie: ${cookie}`);
    });
    // a name that is not allowed is the web server's affair, which redirects to one that is
    this.interceptor = (req, res) =>
      host.allowsHost(req) &&
      answerPlainRequest(req, res, () => host.library());
    web.interceptors?.push(this.interceptor);
  }

  /** Refuse everybody who comes from now on. */
  refuse(): void {
    for (const upgrades of this.upgrades) upgrades.isStopping = true;
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
    this.ws.handleUpgrade(req, socket, head, (ws: unknown) =>
      this.host.onSocket(ws as SparkSocket, req, fingerprint),
    );
  }
}

/**
 * The listeners of the web server that websockets may come by.
 * @throws ActionheroError AH_SERVER_START when it has none of the kind that is asked for
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
 * Off unless asked for: it multiplies the cost of a message. The state of a compressor is not kept between messages,
 * as that takes some 300 KB for each client; an object of options for `ws` can say otherwise.
 */
function deflateOf(compression: WebsocketSettings["server"]["compression"]) {
  if (compression === true)
    return { serverNoContextTakeover: true, clientNoContextTakeover: true };
  return compression || false;
}
