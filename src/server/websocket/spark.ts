/** One client's websocket: the `rawConnection` of websocket connections, named as Primus names it. */
import { EventEmitter } from "node:events";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { WebSocket } from "ws";
import type { Connection } from "../../connection/connection";
import { httpFactsOf, toError } from "../../errors";
import { encodeOnce } from "../../chat/payload";
import { ByteShare, FREE_BYTES, OVERLOADED_TEXT } from "../heldBytes";
import { HIGH_WATER_BYTES, Outbox } from "../outbox";
import type { Clients } from "./clients";
import { CLOSE_NOTICE, encode, textFrame } from "./protocol";

/** Why a client is cut; the code is that of the websocket protocol. */
export interface CloseReason {
  code: number;
  reason: string;
}

/** The close frame, and the text that is sent before it, as libraries rarely show the frame's. */
export interface Refusal extends CloseReason {
  message?: string;
}

export type SparkAddress = { ip: string; port: number | string };

/** How long a client that was cut may take to read why, in ms. */
const CUT_MS = 1000;

/** RFC 6455, section 5.5: a control frame has 125 bytes, two of which are the code. */
const MAX_REASON_BYTES = 123;

const POLICY_VIOLATION = 1008;
const INTERNAL_ERROR = 1011;
const TRY_AGAIN_LATER = 1013;

/** Messages that are worked on before reading waits for them. */
const MAX_PENDING = 64;

/** Shorter messages are not counted: how many of them wait is limited. */
const SMALL_BYTES = 1024;

/** Of the frame of a client: two bytes, and its mask. */
const FRAME_HEAD_BYTES = 6;

/** Counts what happens within a second. */
class RateWindow {
  private start = 0;
  private count = 0;

  /**
   * Count one more.
   * @param limit how many a second may have; 0: any number, and nothing is counted
   * @returns whether it is one too many
   */
  isExceeded(limit: number): boolean {
    if (!(limit > 0)) return false;
    const now = Date.now();
    if (now - this.start >= 1000) {
      this.start = now;
      this.count = 0;
    }
    return ++this.count > limit;
  }
}

/** Does tasks one after the other, the first one at once. */
class Sequence {
  private last: Promise<void> | undefined = undefined;

  /**
   * @param task must not fail
   * @returns a promise for its end
   */
  add(task: () => Promise<void>): Promise<void> {
    const done = this.last ? this.last.then(task) : task();
    this.last = done;
    void done.then(() => {
      if (this.last === done) this.last = undefined;
    });
    return done;
  }
}

/** The frames of a client; with compression, `ws` has a queue of its own below. */
class FrameOutbox extends Outbox<Buffer> {
  /** A file, which may be as long as all that may wait, is among what waits to be read. */
  private hasFileQueued = false;

  constructor(private readonly spark: Spark) {
    super(spark.socket);
  }

  /** A file was sent: the answers after it are no reason to cut a client that is still reading it. */
  noteFile(): void {
    this.hasFileQueued = true;
  }

  protected override get isOpen(): boolean {
    return this.spark.isOpen;
  }

  protected override get unsentBytes(): number {
    return this.spark.ws.bufferedAmount;
  }

  protected override join(frames: Buffer[], bytes: number): Buffer {
    return Buffer.concat(frames, bytes);
  }

  protected override limit(waiting: number): number {
    const { maxBufferedBytes } = this.spark.owner;
    if (waiting <= HIGH_WATER_BYTES) this.hasFileQueued = false;
    return this.hasFileQueued ? 2 * maxBufferedBytes : maxBufferedBytes;
  }

  protected override timeout(): number {
    return this.spark.owner.stalledMs;
  }

  protected override onBehind(isBehind: boolean): void {
    if (isBehind) this.spark.pause();
    else this.spark.resume();
  }

  protected override onOverflow(bytes: number): void {
    this.spark.cut({ code: 1008, reason: `${bytes} bytes wait unread` });
  }

  protected override onStalled(): void {
    this.spark.terminate();
  }
}

export class Spark extends EventEmitter {
  readonly owner: Clients;
  readonly ws: SparkSocket;
  readonly headers: IncomingHttpHeaders;
  readonly address: SparkAddress;
  /** Undefined until the `create` middleware has run. */
  connection: Connection | undefined = undefined;
  /** What the heartbeat saw of it in its last round. */
  seenBytes = -1;
  /** Requests that are done one after the other. */
  readonly verbs = new Sequence();
  readonly files = new Sequence();
  /** How many of them are not done. */
  unsentFiles = 0;

  readonly socket: Socket;
  private readonly url: string;
  readonly isCompressed: boolean;
  private ownId: string | undefined = undefined;
  private readonly outbox: FrameOutbox;
  /** Messages that came before there was a connection. */
  private early: [text: string, bytes: number][] | undefined = undefined;
  /** Messages that are worked on, and the part of one that has come. */
  private readonly share = new ByteShare();
  private unfinishedBytes = 0;
  /** A message ended in what is being read. */
  private hasReceived = false;
  /** Those of the unfinished message that are in the share. */
  private countedBytes = 0;
  private pending = 0;
  private isPaused = false;
  private readonly rate = new RateWindow();

  constructor(
    owner: Clients,
    ws: SparkSocket,
    req: IncomingMessage,
    address: SparkAddress,
  ) {
    super();
    this.owner = owner;
    this.ws = ws;
    this.headers = req.headers;
    this.url = req.url ?? "/";
    this.socket = req.socket;
    this.address = address;
    this.isCompressed = ws.extensions !== "";
    this.outbox = new FrameOutbox(this);
    ws.attach(this);
  }

  /** What `primus::id::` is answered with; not the connection's id. */
  get id(): string {
    return (this.ownId ??= this.owner.newId());
  }

  /** The params of the URL; the last one of a name. */
  get query(): Record<string, string> {
    return queryOf(this.url);
  }

  /** The part of the upgrade request that is kept. */
  get request() {
    const { headers, url, socket, query } = this;
    return { method: "GET", headers, url, socket, query };
  }

  /** 1 open, 2 closing, 3 closed. */
  get readyState(): number {
    return this.ws.readyState;
  }

  /** Whether something other than an action is being done for it. */
  get isBusy(): boolean {
    return this.pending > 0 || this.early !== undefined;
  }

  get isOpen(): boolean {
    return this.ws.readyState === WebSocket.OPEN;
  }

  /** Bytes that the operating system has not taken yet. */
  get bufferedBytes(): number {
    return this.outbox.bufferedBytes;
  }

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  /** Whether nothing is read from it because it does not read; then its socket watches over it, and sees each byte. */
  get isBehind(): boolean {
    return this.outbox.isBehind;
  }

  /**
   * Send a value as JSON.
   * @returns false when the client is gone
   * @throws TypeError for what JSON cannot express
   */
  write(value: unknown): boolean {
    if (!this.isOpen) return false;
    if (typeof value === "object" && value !== null) {
      // of one object for many members there are the same bytes for all
      if (this.isCompressed) this.sendText(encodeOnce(value, TEXT, encode));
      else this.writeFrame(encodeOnce(value, FRAME, encodeFrame));
    } else this.writeText(encode(value));
    return true;
  }

  /** Send a text that is JSON already. */
  writeText(text: string): void {
    if (this.isCompressed) this.sendText(text);
    else this.writeFrame(textFrame(text));
  }

  /** Send a frame that is made already, to a client without compression. */
  writeFrame(frame: Buffer): void {
    if (this.isOpen) this.outbox.send(frame);
  }

  /** A file was sent, which counts less than what else waits. */
  noteFile(): void {
    this.outbox.noteFile();
  }

  /** The compressor works on its own time, and keeps the order. */
  private sendText(text: string): void {
    if (!this.isOpen || !this.outbox.hasRoom()) return;
    this.ws.send(text);
    this.outbox.noteWrite();
  }

  flush(): void {
    this.outbox.flush();
  }

  /**
   * End it, as Primus does: for good, unless `reconnect` is true.
   * @param data sent before the end
   */
  end(data?: unknown, options: { reconnect?: boolean } = {}): void {
    if (!this.isOpen) return;
    if (data !== undefined) this.write(data);
    if (options.reconnect !== true) this.writeText(CLOSE_NOTICE);
    this.ws.close();
  }

  /** End it, and let it reconnect when and where it can. */
  close({ code, reason }: CloseReason): void {
    if (this.isOpen) this.ws.close(code, reason);
  }

  /** Close it before it could do anything, with the text of why if there is one. */
  refuse({ message, ...why }: Refusal): void {
    if (message !== undefined) {
      this.write({ context: "api", error: message });
      this.flush();
    }
    this.close(why);
  }

  /** Drop it without a word: it is not listening. */
  terminate(): void {
    this.ws.terminate();
  }

  /** Close it because of something that it did. */
  cut(why: CloseReason): void {
    if (!this.isOpen) return;
    this.outbox.discard();
    this.close(why);
    this.ws.discardInput();
    this.owner.onCut(this, why);
  }

  /** Messages wait until there is a connection to work on them with. */
  holdMessages(): void {
    this.early = [];
    this.pause();
  }

  releaseMessages(): void {
    const { early } = this;
    this.early = undefined;
    for (const [text, bytes] of early ?? []) this.work(text, bytes);
    this.resume();
  }

  /** A request is being worked on that nothing else limits. */
  beginWork(): void {
    if (++this.pending === MAX_PENDING) this.pause();
  }

  endWork(): void {
    if (this.pending-- === MAX_PENDING) this.resume();
  }

  /** Resolves when the client has taken what waits for it, or is gone. */
  drained(): Promise<void> {
    return this.outbox.drained();
  }

  /** Bytes have come, and the messages that they complete have been received: the rest is kept for the next one. */
  arrive(bytes: number): void {
    if (this.hasReceived) {
      // what came after the message is not known, and at most what is read at a time
      this.hasReceived = false;
      return;
    }
    this.unfinishedBytes = Math.max(0, this.unfinishedBytes + bytes);
    if (this.unfinishedBytes <= FREE_BYTES) return;
    const more = this.unfinishedBytes - this.countedBytes;
    if (this.share.take(more)) this.countedBytes += more;
    else if (this.isOpen) this.cut({ code: 1013, reason: OVERLOADED_TEXT });
    else this.ws.discardInput();
  }

  receive(data: Buffer, isBinary: boolean): void {
    this.hasReceived = true;
    this.forgetUnfinished();
    if (this.isTooFast() || isBinary || !this.isOpen) return;
    const bytes = data.length > SMALL_BYTES ? data.length : 0;
    const text = data.toString();
    if (bytes > 0 && !this.share.take(bytes))
      return this.owner.onOverload(this, text);
    if (this.early) this.early.push([text, bytes]);
    else this.work(text, bytes);
  }

  receiveControl(bytes: number): void {
    this.unfinishedBytes -= bytes + FRAME_HEAD_BYTES; // they are added when all is received
    this.isTooFast();
  }

  /** The unfinished message is complete, or never will be. */
  forgetUnfinished(): void {
    this.unfinishedBytes = 0;
    if (this.countedBytes === 0) return;
    this.share.give(this.countedBytes);
    this.countedBytes = 0;
  }

  /** @param bytes to be given back when it is done */
  private work(text: string, bytes: number): void {
    const before = this.connection?.params;
    const done = this.owner.onText(this, text);
    if (bytes === 0) return;
    const { connection } = this;
    const finish = () => this.share.give(bytes);
    if (!done || !connection) return finish();
    const { params, messageId } = connection;
    const forget = () => {
      finish();
      if (bytes <= FREE_BYTES) return;
      if (params !== before && connection.params === params)
        connection.params = {};
      if (connection.messageId === messageId) connection.messageId = 0;
    };
    done.then(forget, forget);
  }

  /** Count a frame; over the limit the client is cut. */
  isTooFast(): boolean {
    const limit = this.owner.maxMessagesPerSecond;
    if (!this.rate.isExceeded(limit)) return false;
    this.cut({ code: 1008, reason: `more than ${limit} messages per second` });
    return true;
  }

  pause(): void {
    this.isPaused = true;
    this.ws.pause();
  }

  /** Read again, unless something else is in the way. */
  resume(): void {
    const isBusy = this.pending >= MAX_PENDING;
    if (!this.isPaused || this.early || isBusy || this.isBehind) return;
    this.isPaused = false;
    this.ws.resume();
  }
}

const TEXT = "websocket";
const FRAME = "websocket frame";

function encodeFrame(value: object): Buffer {
  return textFrame(encode(value));
}

/** The websocket with a place for its spark, so that listeners need no closure per client. */
export class SparkSocket extends WebSocket {
  spark: Spark | undefined = undefined;

  /** Replies that wait for the end of the tick go first. */
  override close(code?: number, reason?: string | Buffer): void {
    const { spark } = this;
    if (!spark) return super.close(code, reason);
    spark.flush();
    if (code === 1009 && reason === undefined)
      reason = `message too big (limit ${spark.owner.maxLength} bytes)`;
    super.close(code, reason);
  }

  /** Tell a spark everything that comes. */
  attach(spark: Spark): void {
    this.spark = spark;
    this.on("message", onMessage);
    // after ws, which has told of the messages that end in the chunk by then
    spark.socket.on("data", (chunk: Buffer) => spark.arrive(chunk.length));
    this.on("ping", onControlFrame);
    this.on("pong", onControlFrame);
    this.on("error", onError);
    this.on("close", onClose);
  }

  /** Keep nothing of what still comes, not even the client's answer to the close frame. */
  discardInput(): void {
    const { socket, isCompressed } = this.spark!;
    socket.removeAllListeners("data").resume();
    // the compressor may still have what comes before the close frame
    if (!isCompressed) socket.end();
    const timer = setTimeout(() => this.terminate(), CUT_MS).unref();
    socket.once("close", () => clearTimeout(timer));
  }
}

function onMessage(this: WebSocket, data: unknown, isBinary: boolean): void {
  (this as SparkSocket).spark!.receive(data as Buffer, isBinary);
}

function onControlFrame(this: WebSocket, data: Buffer): void {
  (this as SparkSocket).spark!.receiveControl(data.length);
}

/** Broken frames and broken sockets; ws has closed it already, with a code that says why. */
function onError(): void {}

function onClose(this: WebSocket): void {
  const { spark } = this as SparkSocket;
  spark!.forgetUnfinished();
  spark!.owner.onGone(spark!);
  spark!.emit("end");
}

/**
 * How a client is told that the `create` middleware refused it: by the message of an error that has a status; any other
 * may hold what clients must not see.
 */
export function refusalOf(error: unknown): Refusal {
  const { status = 0 } = httpFactsOf(error);
  if (status < 400)
    return { code: INTERNAL_ERROR, reason: "connection refused" };
  const { message } = toError(error);
  return { code: closeCodeOf(status), reason: shorten(message), message };
}

function closeCodeOf(status: number): number {
  if (status === 429 || status === 503) return TRY_AGAIN_LATER;
  return status < 500 ? POLICY_VIOLATION : INTERNAL_ERROR;
}

function shorten(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_REASON_BYTES) return text;
  let end = MAX_REASON_BYTES;
  while ((bytes[end]! & 0xc0) === 0x80) end--; // not within a character
  return bytes.toString("utf8", 0, end);
}

/** The params of a URL; the last one of a name. */
export function queryOf(url: string): Record<string, string> {
  const mark = url.indexOf("?");
  const query = Object.create(null) as Record<string, string>;
  if (mark === -1) return query;
  for (const [name, value] of new URLSearchParams(url.slice(mark)))
    query[name] = value;
  return query;
}
