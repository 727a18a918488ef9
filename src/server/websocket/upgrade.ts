/** Decides which upgrade requests become websockets. */
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { settings } from "../../config/settings";
import type {
  AuthorizationRequest,
  PrimusOptions,
} from "../../config/settingTypes";
import { httpFactsOf, toError, type HttpErrorHeaders } from "../../errors";
import { isThenable } from "../../utils/promises";
import { shownToClients } from "../../log/exposure";
import type { ActionheroLogLevel } from "../../log/log";
import { normalizeTarget } from "../requestTarget";
import {
  admit,
  isBooting,
  RETRY_AFTER_SECONDS,
  STARTING_TEXT,
} from "../booting";
import { hasOtherTakers } from "../handOver";
import { refuseSocket as refuse } from "../refuseSocket";
import { isBelow, websocketPath } from "./plainRequests";
import { isAllowedOrigin } from "./origin";
import { queryOf } from "./query";
import { serveWithoutUpgrade } from "./serveWithoutUpgrade";
import type { SparkAddress } from "./spark";

/** How long the project's `authorization` may think, in ms. */
const AUTHORIZATION_MS = 10_000;

export interface UpgradeHost {
  addressOf(req: IncomingMessage): SparkAddress;
  allowsHost(req: IncomingMessage): boolean;
  /** Whether a page of another site makes the browser send its cookies. */
  isForged(req: IncomingMessage): boolean;
  log(message: string, severity?: ActionheroLogLevel, data?: any): void;
}

type UpgradeHandler = (
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
) => void;

/** Newer versions of Node (22.21, 24.9) ask whether a request is to be upgraded, and serve it like any other if not. */
interface AskingServer {
  shouldUpgradeCallback?: (req: IncomingMessage) => boolean;
}

/** One listener of an HTTP server's `upgrade`, beside those that others have. */
export class UpgradeListener {
  /** Refuse everybody: the server is stopping. */
  isStopping = false;
  private readonly askedBefore: AskingServer["shouldUpgradeCallback"];
  private readonly listener: UpgradeHandler = (req, socket, head) =>
    this.handle(req, socket, head);

  /** @param accept called for a request that may become a websocket */
  constructor(
    private readonly server: Server,
    private readonly host: UpgradeHost,
    private readonly accept: UpgradeHandler,
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

  private handle(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    const fault = normalizeTarget(req);
    if (fault) return refuse(socket, fault.status, fault.text);
    const isWebsocket = asksForWebsocket(req);
    if (!isWebsocket || !isBelow(req.url ?? "/", websocketPath()))
      return this.leave(req, socket, head, isWebsocket);
    if (!isBooting()) return this.decide(req, socket, head);
    const onError = () => socket.destroy();
    socket.on("error", onError);
    admit(
      req.socket,
      () => {
        socket.off("error", onError);
        if (!socket.destroyed) this.decide(req, socket, head);
      },
      () =>
        refuse(socket, 503, STARTING_TEXT, {
          "Retry-After": RETRY_AFTER_SECONDS,
        }),
    );
  }

  private decide(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    const options = settings().websocket.server;
    if (this.isStopping)
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
      if (this.isStopping) refuse(socket, 503, "the server is shutting down");
      else act();
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
function refuseFailed(socket: Duplex, thrown: unknown, host: UpgradeHost) {
  const { error, id } = shownToClients(thrown);
  const { message } = toError(error);
  const { status, headers } = httpFactsOf(error);
  if (id === undefined)
    return refuseUnauthorized(socket, { message, statusCode: status }, headers);
  host.log(`the authorization failed: ${String(thrown)}`, "error", {
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
