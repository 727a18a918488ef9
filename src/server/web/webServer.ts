/** The HTTP server: passes requests to actions and files, and sends their responses. */
import cluster from "node:cluster";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { ActionProcessor } from "../../action/actionProcessor";
import { ActionsStatus } from "../../action/status";
import { api } from "../../api";
import { settings } from "../../config/settings";
import { shutdownTimeLeft } from "../../config/shutdown";
import { type Connection, DESTROYED } from "../../connection/connection";
import type { FailedCall } from "../../connection/calls";
import { beginContext, isContextOn } from "../../context/context";
import { type CookieOptions, setCookieHeader } from "../../cookie/cookies";
import { ActionheroError, errorText } from "../../errors";
import type { HealthApi } from "../../health/health";
import type { TextParams } from "../../input/field";
import { messageForClients } from "../../exposure/json";
import { logDisconnect } from "../../log/refusals";
import type { MetricsApi } from "../../metrics/types";
import { overloadedError } from "../../overload/overload";
import { tracing } from "../../tracing/tracer";
import { isThenable } from "../../utils/promises";
import { randomId } from "../../utils/ids";
import { refuseStream } from "../../action/output";
import { serveWhenBooted, isBooting } from "../booting";
import { currentCors } from "../cors";
import { Drain } from "../drain";
import { isHandedOver } from "../handOver";
import { FREE_BYTES } from "../heldBytes";
import {
  identify,
  type Identity,
  newFingerprint,
  sessionCookie,
} from "../identity";
import { stopListening } from "../listen";
import { clientAddressOf, schemeOf, trustedProxies } from "../proxies";
import { isWorkTracked, releaseWithResponse, requestIdOf } from "../work";
import { normalizeTarget, parseTarget } from "../requestTarget";
import { ALL_EXCEED } from "../outbox";
import { Server } from "../server";
import { noteOutput } from "../turn";
import { RequestAborted } from "./bodyRefusal";
import {
  addCorsHeaders,
  isForAction,
  routeRequest,
  traceRequest,
} from "./routeRequest";
import {
  prepareFailure,
  redirectToAllowedHost,
  refuseTarget,
  refuseWhileBooting,
  respondPlainly,
  respondRefused,
} from "./failure";
import { type FileResponse, fileResponseOf } from "./fileResponse";
import { respondWithFile } from "./files";
import { isValidPair, setFlat } from "./headers";
import {
  checkPrefixes,
  CLUSTER_LINGER_MS,
  httpListener,
  type HttpServer,
  httpsListener,
  listenOn,
  prepareListener,
  Sockets,
} from "./listener";
import { textParamsOf } from "./params";
import { type Outcome, renderBody } from "./respond";
import { RequestQueues, type Traffic } from "./traffic";
import { removeLeftovers, UploadDisk, uploadFolder } from "./uploadDisk";
import { WebRequest } from "./webRequest";
import {
  replaceHeaders,
  WebResponse,
  canWrite,
  describeNoBody,
  finalStatus,
  isBodiless,
  writeBody,
} from "./write";

/** Receives a request before it is routed; true means that it is handled elsewhere. */
export type RequestInterceptor = (
  req: IncomingMessage,
  res: ServerResponse,
) => boolean;

export class WebServer extends Server {
  /** The second listener, with `config.web.https`. */
  httpsServer?: HttpServer;
  /** Called before routing, e.g. for a server that shares this one's port. */
  readonly interceptors: RequestInterceptor[] = [];
  /** Identifies clients. */
  readonly fingerPrinter = {
    fingerprint: (req: IncomingMessage): { fingerprint: string } =>
      identify(req),
  };

  /** Called for what a listener of `actionComplete` throws after its request was routed. */
  readonly onLateError = (
    { connection }: ActionProcessor,
    error: unknown,
  ): void => {
    void this.fail(connection.rawConnection as WebRequest, error);
  };

  /** The limits of all uploads. */
  readonly uploadDisk = new UploadDisk();

  private readonly queues = new RequestQueues({
    begin: (req, res, traffic) => this.begin(req, res, traffic),
    onAbort: (request) => this.end(request),
    onCut: (socket) =>
      logDisconnect(
        this,
        socket,
        "disconnected a client that sent too many requests without waiting for responses",
      ),
    onHeads: (socket) =>
      logDisconnect(
        this,
        socket,
        "disconnected a client: the headers of all requests take too much memory",
      ),
    onUnread: (socket, bytes) => this.cutUnread(socket, bytes),
  });
  private drain?: Drain<Socket>;
  private readonly socketTable = new Sockets();
  /** Requests whose responses are sent to the end, regardless of their actions. */
  private readonly sendingFiles = new WeakSet<WebRequest>();

  constructor() {
    super();
    this.type = "web";
    this.attributes = {
      canChat: false,
      logConnections: false,
      logExits: false,
      sendWelcomeMessage: false,
      verbs: [],
    };
    this.connectionCustomMethods = customMethods;
  }

  /** Every open socket, keyed by an incrementing id. */
  get sockets(): { [id: string]: Socket } {
    return this.socketTable.open;
  }

  /** @throws ActionheroError AH_CONFIG */
  async initialize(): Promise<void> {
    checkPrefixes();
    // invalid settings fail the boot
    trustedProxies();
    currentCors();
    checkHeaders();
    this.on("actionComplete", this.completeResponse.bind(this));
  }

  async start(): Promise<void> {
    const removed = await removeLeftovers(
      uploadFolder(settings().web.formOptions),
    );
    if (removed > 0)
      this.log(`removed ${removed} uploaded files of earlier processes`);
    this.isDraining = false;
    this.httpsServer = undefined;
    const first = httpListener();
    this.server = prepareListener(this, first, this.socketTable);
    await listenOn(this, this.server as HttpServer, first);
    if (!settings().web.https.enabled) return;

    const second = httpsListener();
    const httpsServer = prepareListener(this, second, this.socketTable);
    await listenOn(this, httpsServer, second);
    this.httpsServer = httpsServer;
    this.log(`HTTPS, too, @ ${second.bindIP}:${second.port}`, "notice");
  }

  /**
   * Never: while the server stops, requests are served and the last response of each connection has `Connection:
   * close`.
   */
  override refusesActions(): boolean {
    return false;
  }

  override beginStop(): void {
    const server = this.server as HttpServer | undefined;
    if (!server?.listening) return;
    this.isDraining = true;
    this.socketTable.destroyHandshakes();
    const listeners = this.httpsServer ? [server, this.httpsServer] : [server];
    this.drain = new Drain({
      log: (message, level) => this.log(message, level),
      timeoutMs: shutdownTimeLeft(),
      gone: Promise.all(listeners.map(stopListening)),
      clients: () => Object.values(this.sockets),
      // the end of a response may still wait for the client to read it
      isBusy: (socket) => this.isBusy(socket) || socket.writableLength > 0,
      end: (socket) => socket.destroySoon(),
      cut: (socket) => {
        const { destroyed } = socket;
        socket.destroy();
        return !destroyed;
      },
      idleMs: cluster.isWorker ? CLUSTER_LINGER_MS : 0,
      isHandedOver,
    });
  }

  async stop(): Promise<void> {
    this.beginStop();
    const { drain } = this;
    if (!drain) return;
    this.drain = undefined;
    await drain.finish();
    const left = await this.uploadDisk.allRemoved(drain.timeLeft());
    if (left > 0)
      this.log(`${left} uploaded files were not removed in time`, "warning");
  }

  /** Respond with a text or bytes. */
  async sendMessage(connection: Connection, sent: any): Promise<void> {
    const request = connection.rawConnection as WebRequest;
    const body = Buffer.isBuffer(sent) ? sent : textOf(sent);
    await this.write(request, body);
  }

  /** Respond with a stream, or with an error instead. */
  async sendFile(
    connection: Connection,
    error: any,
    fileStream: any,
    mime: string,
    length: number | null,
    lastModified: Date,
  ): Promise<void> {
    await this.respondWithFile(connection, {
      error: error as unknown,
      fileStream: fileStream as Readable,
      mime,
      length,
      lastModified,
    });
  }

  override async processFile(connection: Connection): Promise<void> {
    const found = await api.staticFile.get(connection);
    await this.respondWithFile(connection, fileResponseOf(found));
  }

  override hasAnswered({ rawConnection }: Connection): boolean {
    return !canWrite((rawConnection as WebRequest).res);
  }

  override failCall(connection: Connection, { error }: FailedCall): void {
    const request = connection.rawConnection as WebRequest;
    if (canWrite(request.res)) void this.fail(request, error);
  }

  override goodbye(): void {
    // connections end with their request, and sockets by keep-alive
  }

  /** Accept a request, as soon as its connection may start another. */
  handleRequest(req: IncomingMessage, res: ServerResponse): void {
    this.queues.take(req, res);
  }

  /** Let the requests of a new connection wait where they take the least memory. */
  guard(socket: Socket): void {
    this.queues.guard(socket);
  }

  isBusy(socket: Socket): boolean {
    return this.queues.isBusy(socket);
  }

  private begin(
    req: IncomingMessage,
    res: ServerResponse,
    traffic: Traffic,
  ): void {
    const { health, metrics } = api as {
      health?: HealthApi;
      metrics?: MetricsApi;
    };
    metrics?.watch?.request(req, res);
    if (health?.answer?.(req, res) === true)
      return this.queues.countForeign(traffic, res);
    if (!isBooting()) return this.work(req, res, traffic);
    serveWhenBooted(
      req.socket,
      () => this.work(req, res, traffic),
      () => {
        this.queues.countForeign(traffic, res);
        refuseWhileBooting(req, res);
      },
    );
  }

  private work(
    req: IncomingMessage,
    res: ServerResponse,
    traffic: Traffic,
  ): void {
    if (!isWorkTracked()) return this.handleSafely(req, res, traffic);
    releaseWithResponse(res);
    const handle = () => this.handleSafely(req, res, traffic);
    const { tracer } = tracing;
    try {
      const id = isContextOn() ? requestIdOf(req) : undefined;
      beginContext({ id }, () =>
        tracer ? traceRequest(tracer, req, res, handle) : handle(),
      );
    } catch (error) {
      respondPlainly(this, res, error);
    }
  }

  /** Every error of a request also gets a response. */
  private handleSafely(
    req: IncomingMessage,
    res: ServerResponse,
    traffic: Traffic,
  ): void {
    try {
      const { overload } = api;
      if (overload?.isOverloaded === true)
        return this.refuse(res, traffic, overloadedError(overload));
      if (this.respondEarly(req, res))
        return this.queues.countForeign(traffic, res);
      this.accept(res, traffic);
    } catch (error) {
      respondPlainly(this, res, error);
    }
  }

  /** Respond to a request that needs no connection: refused, redirected, or of another listener. */
  private respondEarly(req: IncomingMessage, res: ServerResponse): boolean {
    const fault = normalizeTarget(req);
    if (fault !== undefined) {
      refuseTarget(req, res, fault, settings().web);
      return true;
    }
    for (const intercept of this.interceptors)
      if (intercept(req, res)) return true;
    return redirectToAllowedHost(req, res, settings().web);
  }

  /** Refuse a request without a connection, and before its body is read. */
  private refuse(res: ServerResponse, traffic: Traffic, reason: Error): void {
    const target = parseTarget(res.req.url ?? "/", settings().web);
    const request = new WebRequest(this, res, target, undefined);
    addCorsHeaders(request);
    this.queues.begin(traffic, request);
    void this.fail(request, reason);
  }

  private accept(res: ServerResponse, traffic: Traffic): void {
    const { req } = res;
    const target = parseTarget(req.url ?? "/", settings().web);
    const identity = identify(req, isForAction(req.method, target));
    const request = new WebRequest(this, res, target, identity.setCookie);
    addCorsHeaders(request);
    this.queues.begin(traffic, request);
    this.routeSafely(request, identity);
  }

  private routeSafely(request: WebRequest, identity: Identity): void {
    try {
      const connection = this.connect(request, identity);
      const done = isThenable(connection)
        ? connection.then((opened) => routeRequest(this, opened, request))
        : routeRequest(this, connection, request);
      if (isThenable(done))
        done.then(undefined, (error: unknown) => this.fail(request, error));
    } catch (error) {
      void this.fail(request, error);
    }
  }

  private connect(
    request: WebRequest,
    { fingerprint }: Identity,
  ): Connection | Promise<Connection> {
    const { req } = request;
    const { ip, port } = clientAddressOf(req);
    const messageId = randomId();
    const opened = this.openConnection({
      id: `${fingerprint}-${messageId}`,
      fingerprint,
      messageId,
      rawConnection: request,
      remoteAddress: ip,
      remotePort: port,
    });
    if (!isThenable(opened)) return (request.connection = opened);
    return opened.then((connection) => (request.connection = connection));
  }

  /** Send the response of an action; called for every `actionComplete`. */
  private completeResponse(data: ActionProcessor): void {
    const { connection } = data;
    const request = connection.rawConnection as WebRequest;
    if (data.toRender !== true) {
      if (data.actionStatus !== ActionsStatus.Complete) this.cutHalf(request);
      return this.endWhenClosed(request);
    }
    try {
      const done = this.respond(connection, request, data);
      if (done) done.catch((error: unknown) => this.fail(request, error));
    } catch (error) {
      void this.fail(request, error);
    }
  }

  /**
   * The action failed after it started its own response: abort, so that the client detects the truncated response.
   */
  private cutHalf(request: WebRequest): void {
    const { res } = request;
    const isHalf = res.headersSent && !res.writableEnded;
    if (isHalf && !this.sendingFiles.has(request)) res.destroy();
  }

  /** @returns a promise only if a step is async: an error serializer, compression */
  private respond(
    connection: Connection,
    request: WebRequest,
    outcome: Outcome,
  ): Promise<void> | undefined {
    const body = renderBody(connection, request, outcome);
    if (!isThenable(body)) return this.write(request, body);
    return Promise.resolve(body).then((late) => this.write(request, late));
  }

  private write(
    request: WebRequest,
    body: string | Buffer,
  ): Promise<void> | undefined {
    noteOutput(body.length);
    const written = writeBody(request, body);
    if (written) return written.then(() => this.endWhenClosed(request));
    this.endWhenClosed(request);
    return undefined;
  }

  private async respondWithFile(
    connection: Connection,
    file: FileResponse,
  ): Promise<void> {
    const request = connection.rawConnection as WebRequest;
    this.sendingFiles.add(request);
    const noteUnread = this.queues.unreadOf(request);
    await respondWithFile(request, file, noteUnread).finally(() => {
      noteUnread(0);
      this.endWhenClosed(request);
    });
  }

  override textParams(connection: Connection): TextParams {
    return textParamsOf(connection);
  }

  /** Respond to a request that could not be processed, if a response is still possible. */
  private async fail(request: WebRequest, error: unknown): Promise<void> {
    const { connection } = request;
    if (error instanceof RequestAborted) {
      respondPlainly(this, request.res, error);
      return this.end(request);
    }
    try {
      if (!connection) {
        await respondRefused(this, request, error);
        return this.endWhenClosed(request);
      }
      const outcome = await prepareFailure(this, connection, request, error);
      await this.respond(connection, request, outcome);
    } catch (failure) {
      respondPlainly(this, request.res, failure);
      this.end(request);
    }
  }

  /**
   * End the connection with its response: now if the response was passed to node completely, otherwise when it closes.
   */
  private endWhenClosed(request: WebRequest): void {
    const { res } = request;
    const least = res.socket === null ? 0 : FREE_BYTES; // one behind another, or complete
    if (res.writableLength > least) this.queues.countUnread(request);
    if (res.writableEnded || res.destroyed) this.end(request);
    else res.once("close", () => this.end(request));
  }

  private cutUnread(socket: Socket, bytes: number): void {
    logDisconnect(
      this,
      socket,
      `disconnected a slow consumer: ${bytes} bytes wait, and ${ALL_EXCEED}`,
    );
    socket.destroy();
  }

  private end(request: WebRequest): void {
    this.queues.end(request);
    // again after the client disconnected during a write
    request.temporaryFiles?.remove();
    const { connection } = request;
    // an action that continues after its client has disconnected still holds its params
    if (!connection || connection.pendingActions === 0) request.held?.release();
    if (!connection || connection.destroyed) return;
    const done = connection.destroy();
    if (done !== DESTROYED)
      done.catch((error: unknown) => {
        this.log(`cannot end a connection: ${errorText(error)}`, "error");
      });
  }
}

/** @throws ActionheroError AH_CONFIG: with a header that cannot be written, no request could get a response */
function checkHeaders(): void {
  for (const [name, value] of Object.entries(settings().web.httpHeaders ?? {}))
    if (value && !isValidPair([name, value]))
      throw new ActionheroError(
        "AH_CONFIG",
        `web.httpHeaders cannot be sent: the value of ${name} has characters that no header may have (X-Powered-By is general.serverName unless you set it)`,
      );
}

/** The text of a message; of an Error, the text for clients. */
function textOf(sent: unknown): string {
  if (!(sent instanceof Error)) return String(sent);
  const { error } = messageForClients(sent) as { error: unknown };
  return String(error);
}

// --- The additional methods of connections of the web server.

const customMethods = {
  /** Set a header; the same as pushing to `rawConnection.responseHeaders`. */
  setHeader({ rawConnection }: Connection, key: string, value: string): void {
    (rawConnection as WebRequest).res.setHeader(key, value);
  },

  setStatusCode({ rawConnection }: Connection, code: number): void {
    (rawConnection as WebRequest).responseHttpCode = code;
  },

  /**
   * Add a cookie to the response.
   * @throws Error when the response has begun: the client would not get it
   */
  setCookie(
    { rawConnection }: Connection,
    name: string,
    value: string,
    options?: CookieOptions,
  ): void {
    const { req, responseHeaders } = unsent(rawConnection as WebRequest);
    const isTls = schemeOf(req) === "https";
    const header = setCookieHeader(name, value, options, isTls);
    responseHeaders.push(["Set-Cookie", header]);
  },

  /**
   * Set a new fingerprint, which is sent to the client as its cookie.
   * @throws Error when the response has begun: the client would not get it
   */
  rotateFingerprint(connection: Connection): string {
    const request = unsent(connection.rawConnection as WebRequest);
    const fingerprint = newFingerprint();
    const cookie = sessionCookie(fingerprint, request.req);
    if (cookie !== undefined)
      request.responseHeaders.push(["Set-Cookie", cookie]);
    return (connection.fingerprint = fingerprint);
  },

  /** Respond with these bytes and only the project's headers; the action sets `toRender` to false. */
  pipe(
    { rawConnection }: Connection,
    buffer: string | Buffer,
    headers: { [name: string]: string } = {},
  ): void {
    refuseStream(buffer, "connection.pipe");
    const request = rawConnection as WebRequest;
    const { res } = request;
    for (const [name, value] of Object.entries(headers))
      res.setHeader(name, value);
    const bytes = Buffer.from(buffer as string);
    if (res.headersSent) {
      res.end(bytes);
      return;
    }
    // status and type of other responses are ignored, as in version 29
    const own = res instanceof WebResponse ? res.ownStatus : res.statusCode;
    const status = (res.statusCode = finalStatus(own ?? 200));
    const hasBody = !isBodiless(status);
    const head = request.flatProjectHeaders();
    if (hasBody) {
      setFlat(head, "transfer-encoding", undefined);
      setFlat(head, "content-length", String(bytes.length));
    } else describeNoBody(status, head);
    replaceHeaders(res, head);
    res.end(hasBody ? bytes : undefined);
  },
};

/** @throws Error when the head of the response was sent */
function unsent(request: WebRequest): WebRequest {
  if (request.res.headersSent)
    throw new Error(
      "the response has begun: its cookies can no longer be changed",
    );
  return request;
}
