/** Websockets on the web server's port, in the wire format of Primus. */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import * as path from "node:path";
import type { Readable } from "node:stream";
import type { ActionProcessor } from "../../action/actionProcessor";
import { ActionsStatus } from "../../action/status";
import { api } from "../../api";
import { config } from "../../config/config";
import { serializeError } from "../../config/errorMessage";
import type { PrimusOptions } from "../../config/types";
import { settings } from "../../config/settings";
import { shutdownTimeLeft } from "../../config/shutdown";
import type { Connection } from "../../connection/connection";
import { ActionheroError, toError } from "../../errors";
import { messageForClients } from "../../exposure/json";
import { isThenable, waitAtMost } from "../../utils/promises";
import { isGuarded } from "../cors";
import { Drain } from "../drain";
import { identifyUpgrade, type Identity } from "../identity";
import { encodePlainReply, warnOfEnvelope } from "../jsonRequest";
import { isAllowedHost } from "../proxies";
import { FLAG_DEFAULTS, Server } from "../server";
import { mayUseCookie } from "./plainRequests";
import {
  type ClientScriptOptions,
  compileClient,
  renderClient,
  writeClient,
  browserLibrary,
  nodeClientClass,
  type PrimusClientClass,
  PrimusSurface,
} from "./clientScript";
import { Clients, Heartbeat } from "./clients";
import {
  actionMessage,
  CloseCode,
  completed,
  escapeSeparators,
  type Message,
} from "./protocol";
import {
  type CloseReason,
  refusalOf,
  Spark,
  type SparkAddress,
  type SparkSocket,
} from "./spark";
import { UpgradeHandler, type WebListener } from "./upgrade";

/** Options of Primus that would change the wire format. */
const FIXED: Record<string, { allowed: unknown[]; supported: string }> = {
  transformer: { allowed: ["websockets", "ws"], supported: "websockets" },
  parser: { allowed: ["json"], supported: "JSON" },
};

const STOPPING: CloseReason = {
  code: CloseCode.GoingAway,
  reason: "the server is shutting down",
};

export class WebSocketServer extends Server {
  /** The object that v29's projects know as the Primus server. */
  declare server: PrimusSurface | undefined;

  private readonly clients = new Clients(this);
  private readonly heartbeat = new Heartbeat(this.clients.sparks, (spark) =>
    spark.terminate(),
  );
  private upgradeHandler: UpgradeHandler | undefined;
  /** Settles when the last client is gone. */
  private stopping: Promise<void> | undefined;
  private drain: Drain<Spark> | undefined;
  /** Clients that sent `quit`; the function re-checks whether their replies are sent. */
  private readonly quitting = new Map<Spark, () => void>();

  constructor() {
    super();
    this.type = "websocket";
    this.attributes = {
      ...FLAG_DEFAULTS,
      verbs: [
        "quit",
        "exit",
        "documentation",
        "roomAdd",
        "roomLeave",
        "roomView",
        "detailsView",
        "say",
      ],
    };
  }

  /** The options that v29's projects pass to Primus. */
  get primusOptions(): PrimusOptions {
    const { server } = (this.config ?? {}) as { server?: PrimusOptions };
    return server ?? {};
  }

  /** Every client, also those whose connection is not ready yet. */
  get sparks(): ReadonlySet<Spark> {
    return this.clients.sparks;
  }

  private get clientScript(): ClientScriptOptions {
    const { clientUrl, client, cookieKey } = settings().websocket;
    return { clientUrl, client: { cookieKey, ...client } };
  }

  /** @throws ActionheroError AH_CONFIG */
  async initialize(): Promise<void> {
    checkConfig();
    this.allowVerbs(settings().websocket.verbs);
    this.on("actionComplete", (data: ActionProcessor) => {
      this.completeResponse(data);
    });
  }

  /** @throws ActionheroError AH_SERVER_START without a web server, whose port this one shares */
  async start(): Promise<void> {
    const web = api.servers.servers.web as (Server & WebListener) | undefined;
    if (!web?.server) {
      throw new ActionheroError(
        "AH_SERVER_START",
        "websocket server requires web server to be enabled: a process without the web server has config.websocket.enabled: false",
      );
    }
    this.isDraining = false;
    this.server = new PrimusSurface(this);
    this.upgradeHandler = new UpgradeHandler(web, this);
    this.heartbeat.start(Number(settings().websocket.server.pingInterval));
    await this.writeClientJS();
    const { bindIP, port } = settings().web;
    this.log(`webSockets bound to ${bindIP}:${port}`, "debug");
  }

  override beginStop(): void {
    const { upgradeHandler } = this;
    if (!upgradeHandler) return;
    this.upgradeHandler = undefined;
    this.stopping = this.endAll(upgradeHandler);
    this.stopping.catch(() => undefined); // `stop` throws it
  }

  /** Clients with requests in progress get their replies first, within `general.shutdownTimeout`. */
  async stop(): Promise<void> {
    this.beginStop();
    await this.stopping;
  }

  private async endAll(upgradeHandler: UpgradeHandler): Promise<void> {
    this.isDraining = true;
    this.heartbeat.stop();
    const drain = new Drain<Spark>({
      log: (message, level) => this.log(message, level),
      timeoutMs: shutdownTimeLeft(),
      gone: this.clients.allGone(),
      clients: () => this.sparks,
      isBusy: (spark) => this.isBusy(spark),
      end: (spark) => this.closeForStop(spark),
      cut: (spark) => {
        spark.terminate();
        return true;
      },
      isSilent: (spark) => spark.bufferedBytes === 0,
    });
    this.drain = drain;
    await drain.finish();
    this.drain = undefined;
    const leftMs = shutdownTimeLeft();
    const givenUp = await this.clients.allLeft(leftMs);
    if (givenUp > 0) {
      this.log(
        `closed ${givenUp} connections before their destroy middleware ended`,
        "warning",
      );
    }
    upgradeHandler.close();
  }

  /** Hands the message to the socket before it returns, unless an error's serializer is async. */
  async sendMessage(
    connection: Connection,
    sent: any,
    messageId: string | number = connection.messageId,
  ): Promise<void> {
    const spark = connection.rawConnection as Spark;
    const message = messageForClients(sent);
    if (
      typeof message !== "object" ||
      message === null ||
      Array.isArray(message)
    ) {
      spark.write(message);
      return;
    }
    const outgoing = completed(message as Message, messageId);
    if (outgoing.error) {
      const shown = serializeError("websocket", outgoing.error);
      outgoing.error = isThenable(shown) ? await shown : shown;
    }
    spark.write(outgoing);
  }

  async sendFile(
    connection: Connection,
    error: any,
    fileStream: any,
    mime: string,
    length: number,
    lastModified: Date,
  ): Promise<void> {
    const { messageId, params } = connection;
    const spark = connection.rawConnection as Spark;
    const source = {
      error: error as unknown,
      fileStream: fileStream as Readable,
    };
    const message = await fileReplyOf(
      source,
      { mime, length, lastModified },
      {
        encoding: params.encoding as unknown,
        maxBytes: this.clients.maxBufferedBytes,
        isWanted: () => spark.isOpen,
      },
    );
    await this.sendMessage(connection, message, messageId);
    if (message.content !== null) spark.noteFile();
  }

  /** End a client: it does not reconnect. */
  override goodbye(connection: Connection): void {
    (connection.rawConnection as Spark).end();
  }

  /** Bytes that wait for a client to read them. */
  bufferedBytes({ rawConnection }: { rawConnection?: any }): number {
    return (rawConnection as Spark).bufferedBytes;
  }

  /** The source of the browser library, which implements the wire format. */
  library(): string {
    return browserLibrary();
  }

  /** The source of the client for pages; what it evaluates to is its class. */
  compileActionheroWebsocketClientJS(): string {
    return compileClient(this.clientScript);
  }

  /** The script for pages: the library and the client. */
  renderClientJS(): string {
    return renderClient(this.library(), this.clientScript);
  }

  /** Write that script below the first public folder; a write error is logged, and the server starts anyway. */
  async writeClientJS(): Promise<void> {
    const { clientJsPath, clientJsName } = settings().websocket;
    const folder = settings().general.paths.public?.[0];
    if (!folder || !clientJsName) return;
    const file = path.join(folder, clientJsPath ?? "", `${clientJsName}.js`);
    try {
      if (await writeClient(file, this.renderClientJS()))
        this.log(`wrote ${file}`, "debug");
    } catch (error) {
      this.log("Cannot write client-side JS for websocket server:", "warning", {
        error: toError(error).message,
      });
    }
  }

  clientClass(): PrimusClientClass {
    return nodeClientClass();
  }

  addressOf(req: IncomingMessage): SparkAddress {
    return this.clients.addressOf(req);
  }

  allowsHost(req: IncomingMessage): boolean {
    const { web, websocket } = settings();
    return !websocket.checkHost || isAllowedHost(req, web.allowedRequestHosts);
  }

  isForged(req: IncomingMessage): boolean {
    return isGuarded(req) && !mayUseCookie(req);
  }

  identify(req: IncomingMessage): Partial<Identity> {
    return identifyUpgrade(req, mayUseCookie(req));
  }

  onSocket(
    ws: SparkSocket,
    req: IncomingMessage,
    fingerprint: string | undefined,
  ): void {
    this.clients.onSocket(ws, req, fingerprint);
  }

  announceSpark(event: "connection" | "disconnection", spark: Spark): void {
    this.server?.emit(event, spark);
  }

  isBusy(spark: Spark): boolean {
    return (
      spark.hasPendingMessages || (spark.connection?.pendingActions ?? 0) > 0
    );
  }

  /** Close a client because the server stops. */
  private closeForStop(spark: Spark): void {
    if (settings().websocket.destroyClientsOnShutdown && spark.connection)
      this.clients.destroyConnection(spark);
    else spark.close(STOPPING);
  }

  afterWork(spark: Spark): void {
    this.drain?.update(spark);
    this.quitting.get(spark)?.();
  }

  async untilReplied(spark: Spark): Promise<void> {
    const isDone = () => !spark.isOpen || !hasPendingReplies(spark);
    if (isDone()) return;
    const replied = new Promise<void>((resolve) =>
      this.quitting.set(spark, () => {
        if (isDone()) resolve();
      }),
    );
    await waitAtMost(shutdownTimeLeft(), replied);
    this.quitting.delete(spark);
  }

  protected override async refuseConnection(
    connection: Connection,
    error: unknown,
  ): Promise<never> {
    // before goodbye(), which tells the client not to reconnect; the error may be temporary
    (connection.rawConnection as Spark).refuse(refusalOf(error));
    return super.refuseConnection(connection, error);
  }

  /** Send what an action responded; called for every `actionComplete`. */
  private completeResponse(data: ActionProcessor): void {
    const { connection, messageId } = data;
    const spark = connection.rawConnection as Spark;
    if (data.toRender === false || this.sendPlainly(spark, data))
      return this.afterWork(spark);
    this.sendReply(data)
      .catch((error: unknown) => {
        const reply = { error: this.failedResponse(error) };
        return this.sendMessage(connection, reply, messageId);
      })
      .then(() => this.afterWork(spark))
      .catch(() => undefined); // the error serializer threw, which is logged where it is called
  }

  /**
   * Send the reply of an action as text, without a copy of it or a promise.
   * @returns false if the reply needs serializing, or the project has replaced sendMessage or write
   */
  private sendPlainly(
    spark: Spark,
    { response, messageId }: ActionProcessor,
  ): boolean {
    if (this.sendMessage !== sendMessage || spark.write !== write) return false;
    const { toJSON } = (response ?? {}) as { toJSON?: unknown };
    if (toJSON !== undefined) return false; // its result may have an error
    let text;
    try {
      text = encodePlainReply(response, messageId);
    } catch {
      return false; // the other way reports it
    }
    if (text === undefined) return false;
    spark.writeText(escapeSeparators(text));
    return true;
  }

  private async sendReply(data: ActionProcessor): Promise<void> {
    const { connection, messageId, actionStatus } = data;
    warnOfEnvelope(data);
    const isError = actionStatus !== ActionsStatus.Complete;
    const reply = actionMessage(data.response, messageId, isError);
    await this.sendMessage(connection, reply, messageId);
  }
}

// eslint-disable-next-line @typescript-eslint/unbound-method -- only compared, never called
const { sendMessage } = WebSocketServer.prototype;
// eslint-disable-next-line @typescript-eslint/unbound-method -- only compared, never called
const { write } = Spark.prototype;

function hasPendingReplies({ connection, unsentFiles }: Spark): boolean {
  return unsentFiles > 0 || (connection?.pendingActions ?? 0) > 0;
}

/** @throws ActionheroError AH_CONFIG for unsupported options of Primus */
function checkConfig(): void {
  const { bind } = settings().websocket;
  const server = (config.websocket?.server ?? {}) as PrimusOptions;
  if (![undefined, "http", "https"].includes(bind))
    throw new ActionheroError(
      "AH_CONFIG",
      "websocket.bind can only be 'http' or 'https'",
    );
  for (const [option, { allowed, supported }] of Object.entries(FIXED)) {
    const value = server[option];
    if (value === undefined || value === null) continue;
    if (typeof value === "string" && allowed.includes(value.toLowerCase()))
      continue;
    throw new ActionheroError(
      "AH_CONFIG",
      `websocket.server.${option} cannot be set: only ${supported} is supported`,
    );
  }
  const { plugin } = server;
  if (plugin && !(typeof plugin === "object" && isEmpty(plugin))) {
    throw new ActionheroError(
      "AH_CONFIG",
      "websocket.server.plugin cannot be set: there is no Primus to plug into",
    );
  }
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}

// --- The response to a request for a file, as one message: text unchanged, bytes in base64.

interface FileMessage {
  error?: unknown;
  content: string | null;
  /** Set only if the content is not plain text. */
  encoding?: "base64";
  mime: string;
  length: number;
  lastModified?: Date;
}

interface FileFacts {
  mime: string;
  length: number;
  lastModified?: Date;
}

interface FileSource {
  error?: unknown;
  fileStream?: Readable;
}

interface FileReplyOptions {
  /** `"base64"` if the client always wants bytes. */
  encoding: unknown;
  /** Files that are longer, as a file or as a message, are refused; 0: no limit. */
  maxBytes: number;
  /** Called after each piece; when it returns false, the file is abandoned. */
  isWanted: () => boolean;
}

/** The maximum length of a byte in JSON: control characters are `\u001f`. */
const MAX_GROWTH = 6;

/** The message for a file, or for an error. */
export async function fileReplyOf(
  { error, fileStream }: FileSource,
  facts: FileFacts,
  options: FileReplyOptions,
): Promise<FileMessage> {
  if (error || !fileStream) return { error, content: null, ...facts };
  const isTooLong = () =>
    options.maxBytes > 0 && facts.length > options.maxBytes;
  if (isTooLong()) fileStream.destroy();
  const content = isTooLong() ? undefined : await collect(fileStream, options);
  if (!content)
    return { error: tooLong(options.maxBytes), content: null, ...facts };
  const message = { ...asText(content, options.encoding), ...facts };
  return isTooLongAsMessage(message, content.length, options.maxBytes)
    ? { error: tooLong(options.maxBytes), content: null, ...facts }
    : message;
}

function tooLong(maxBytes: number): string {
  return `the file is longer than ${maxBytes} bytes, get it over HTTP`;
}

function isTooLongAsMessage(
  { content }: { content: string },
  bytes: number,
  maxBytes: number,
): boolean {
  if (maxBytes <= 0 || bytes * MAX_GROWTH <= maxBytes) return false;
  return Buffer.byteLength(JSON.stringify(content)) > maxBytes;
}

function asText(content: Buffer, encoding: unknown) {
  if (encoding !== "base64" && isUtf8(content))
    return { content: content.toString() };
  return { content: content.toString("base64"), encoding: "base64" as const };
}

/** @returns undefined for a stream that is no longer wanted, or too long */
async function collect(
  stream: Readable,
  { maxBytes, isWanted }: FileReplyOptions,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // leaving the loop would end the stream with an error, which is logged as one of the file
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    const piece = Buffer.from(chunk as Buffer | string);
    chunks.push(piece);
    bytes += piece.length;
    if (isWanted() && !(maxBytes > 0 && bytes > maxBytes)) continue;
    stream.destroy();
    return undefined;
  }
  return Buffer.concat(chunks, bytes);
}
