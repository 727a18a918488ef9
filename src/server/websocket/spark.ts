/** One client's websocket: the `rawConnection` of websocket connections, with the name from Primus. */
import { EventEmitter } from "node:events";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { WebSocket } from "ws";
import type { Connection } from "../../connection/connection";
import { httpFactsOf, toError } from "../../errors";
import { encodeOnce } from "../../exposure/json";
import {
  ByteShare,
  FREE_BYTES,
  type Holder,
  MEMORY_LIMIT_TEXT,
} from "../heldBytes";
import {
  documentBytes,
  MAX_RATIO,
  mostInflated,
  PIECE_BYTES,
  UNCOUNTED_MESSAGE_BYTES,
  WAITING_REQUEST_BYTES,
} from "../estimates";
import { HIGH_WATER_BYTES, Outbox, ALL_EXCEED } from "../outbox";
import { noteOutput, RateWindow, Sequence, Turn } from "../turn";
import type { Clients } from "./clients";
import { CLOSE_NOTICE, CloseCode, encode, textFrame } from "./protocol";
import { destroyAfter } from "../drain";

/** The reason for disconnecting a client; the code is a websocket close code. */
export interface CloseReason {
  code: number;
  reason: string;
}

/** The close frame, and the text that is sent before it, because libraries rarely show that of the frame. */
export interface Refusal extends CloseReason {
  message?: string;
}

export type SparkAddress = { ip: string; port: number | string };

/** RFC 6455, section 5.5: a control frame has 125 bytes, two of which are the code. */
const MAX_REASON_BYTES = 123;

/** Messages in progress at which reading pauses. */
const MAX_PENDING = 64;

/** Beyond so many pending requests, small messages are counted, too. */
const MAX_UNCOUNTED = 4;

/** The interval of checks while `ws` inflates a part of a message, in ms: it does not report its completion. */
const INFLATING_MS = 10;

/** Writes the frames of a client; with compression, `ws` has its own queue below. */
class FrameOutbox extends Outbox<Buffer> {
  /** A file, which may be as long as the whole limit, is among the bytes that the client has not read. */
  private hasFileQueued = false;

  constructor(private readonly spark: Spark) {
    super(spark.socket);
  }

  /** A file was sent: replies after it must not disconnect a client that is still reading it. */
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
    this.spark.cut({
      code: CloseCode.PolicyViolation,
      reason: `${bytes} bytes wait unread`,
    });
  }

  protected override onSlowest(bytes: number): void {
    const reason = `${bytes} bytes wait unread, and ${ALL_EXCEED}`;
    this.spark.cut({ code: CloseCode.PolicyViolation, reason });
    this.spark.terminate(); // a close frame would wait behind what is not read
  }

  protected override onStalled(): void {
    this.spark.terminate();
  }
}

export class Spark extends EventEmitter implements Holder {
  readonly owner: Clients;
  readonly ws: SparkSocket;
  readonly headers: IncomingHttpHeaders;
  readonly address: SparkAddress;
  /** Undefined until the `create` middleware has run. */
  connection: Connection | undefined = undefined;
  /** The state of the heartbeat in its last round. */
  seenBytes = -1;
  /** Requests that are processed one after the other. */
  readonly verbs = new Sequence();
  readonly files = new Sequence();
  /** The number of these requests that are pending. */
  unsentFiles = 0;

  readonly socket: Socket;
  private readonly url: string;
  readonly isCompressed: boolean;
  private ownId: string | undefined = undefined;
  private readonly outbox: FrameOutbox;
  /** Queued messages: the connection is not ready, or the client has used up its turn. Undefined when empty. */
  private waiting: [text: string, bytes: number][] | undefined = undefined;
  /** The connection is not ready yet. */
  private isConnecting = false;
  private readonly turn = new Turn(this);
  private isGone = false;
  /** Memory of messages in progress. */
  private readonly share = new ByteShare(this);
  /** Memory of the received part of the next one. */
  private readonly unfinished = new ByteShare(this);
  /** Pending while a part of a message is inflated. */
  private check: NodeJS.Timeout | undefined = undefined;
  private pending = 0;
  /** It has asked to be disconnected: what follows is ignored. */
  isQuitting = false;
  private isPaused = false;
  private readonly rate = new RateWindow();
  /** Set while the client is over its rate limit; reading resumes when it fires. */
  private slowedDown: NodeJS.Timeout | undefined = undefined;

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
    this.unfinished.expectMore(() => this.refuseUnfinished());
    ws.attach(this);
  }

  /** The reply to `primus::id::`; not the connection's id. */
  get id(): string {
    return (this.ownId ??= this.owner.newId());
  }

  /** The params of the URL; if a name is repeated, the last one. */
  get query(): Record<string, string> {
    return queryOf(this.url);
  }

  /** The stored part of the upgrade request. */
  get request() {
    const { headers, url, socket, query } = this;
    return { method: "GET", headers, url, socket, query };
  }

  /** 1 open, 2 closing, 3 closed. */
  get readyState(): number {
    return this.ws.readyState;
  }

  /** Whether a request other than an action is in progress. */
  get hasPendingMessages(): boolean {
    return this.pending > 0 || this.isConnecting || this.waiting !== undefined;
  }

  get isOpen(): boolean {
    return this.ws.readyState === WebSocket.OPEN;
  }

  /** Bytes not yet passed to the operating system. */
  get bufferedBytes(): number {
    return this.outbox.bufferedBytes;
  }

  get clientAddress(): string {
    return this.address.ip;
  }

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  /** Whether reading is paused because it is a slow consumer; then its socket detects its activity by each byte. */
  get isBehind(): boolean {
    return this.outbox.isBehind;
  }

  /**
   * Send a value as JSON.
   * @returns false when the client has disconnected
   * @throws TypeError for what JSON cannot express
   */
  write(value: unknown): boolean {
    if (!this.isOpen) return false;
    if (typeof value === "object" && value !== null) {
      // an object for many members is encoded to the same bytes for all
      if (this.isCompressed) this.sendText(encodeOnce(value, TEXT, encodeText));
      else this.writeFrame(encodeOnce(value, FRAME, encodeFrame));
    } else this.writeText(encode(value));
    return true;
  }

  /** Send text that is already JSON. */
  writeText(text: string): void {
    if (this.isCompressed) this.sendText(Buffer.from(text));
    else this.writeFrame(textFrame(text));
  }

  /** Send a prebuilt frame, to a client without compression. */
  writeFrame(frame: Buffer): void {
    if (this.isOpen) this.outbox.send(frame);
  }

  /** A file was sent: until the client has read it, the limit of unread bytes is doubled. */
  noteFile(): void {
    this.outbox.noteFile();
  }

  /**
   * The compressor is asynchronous, and keeps the order.
   * @param text in UTF-8: strings that wait would fill the heap, with up to two bytes a character
   */
  private sendText(text: Buffer): void {
    if (!this.isOpen || !this.outbox.hasRoom()) return;
    noteOutput(text.length);
    this.ws.send(text, AS_TEXT);
    this.outbox.noteWrite();
  }

  flush(): void {
    this.outbox.flush();
  }

  /**
   * End it, like Primus: permanently, unless `reconnect` is true.
   * @param data sent before the end
   */
  end(data?: unknown, options: { reconnect?: boolean } = {}): void {
    if (!this.isOpen) return;
    if (data !== undefined) this.write(data);
    if (options.reconnect !== true) this.writeText(CLOSE_NOTICE);
    this.ws.close();
  }

  /** End it, and let it reconnect. */
  close({ code, reason }: CloseReason): void {
    if (this.isOpen) this.ws.close(code, reason);
  }

  /** Close it before its first request, with the reason as text if there is one. */
  refuse({ message, ...why }: Refusal): void {
    if (message !== undefined) {
      this.write({ context: "api", error: message });
      this.flush();
    }
    this.close(why);
  }

  /** Terminate it without a close frame, because it does not respond. */
  terminate(): void {
    this.ws.terminate();
  }

  /** Close it because of a violation. */
  cut(why: CloseReason): void {
    if (!this.isOpen) return;
    this.outbox.discard();
    this.close(why);
    this.ws.discardInput();
    this.owner.onCut(this, why);
  }

  /** Messages wait until the connection is ready. */
  holdMessages(): void {
    this.isConnecting = true;
    this.pause();
  }

  releaseMessages(): void {
    this.isConnecting = false;
    this.onTurn();
  }

  /** Handle the messages that wait, as far as the turn allows. */
  onTurn(): void {
    if (this.isConnecting) return;
    const { waiting = [] } = this;
    let next = 0;
    while (next < waiting.length && this.mayHandleNext())
      this.work(...waiting[next++]!);
    if (next < waiting.length) {
      waiting.splice(0, next);
      return;
    }
    this.waiting = undefined;
    if (this.readyState === WebSocket.CLOSED) return this.finish();
    this.resume();
    this.owner.onWorked(this);
  }

  /** The websocket is closed. Messages that were received before are handled first. */
  onClosed(): void {
    this.forgetUnfinished();
    const { slowedDown } = this;
    clearTimeout(slowedDown);
    this.slowedDown = undefined;
    if (this.isConnecting || !this.waiting) this.finish();
    else if (slowedDown) this.onTurn();
  }

  private finish(): void {
    if (this.isGone) return;
    this.isGone = true;
    this.owner.onGone(this);
    this.emit("end");
  }

  /** A request is in progress that no other limit covers. */
  beginWork(): void {
    if (++this.pending === MAX_PENDING) this.pause();
  }

  endWork(): void {
    if (this.pending-- === MAX_PENDING) this.resume();
  }

  /** Resolves when the client has read all pending bytes, or has disconnected. */
  drained(): Promise<void> {
    return this.outbox.drained();
  }

  /** Bytes have arrived, and the messages that they complete have been received: count the part of the next one. */
  arrive(): void {
    const { ws, unfinished } = this;
    if (ws.isInflating) this.checkSoon();
    const bytes = this.readyState === WebSocket.CLOSED ? 0 : ws.unfinishedBytes;
    const counted = bytes <= UNCOUNTED_MESSAGE_BYTES ? 0 : bytes;
    const more = counted - unfinished.size;
    if (more < 0) unfinished.give(-more);
    else if (more > 0 && !unfinished.take(more)) this.refuseUnfinished();
  }

  private checkSoon(): void {
    this.check ??= setTimeout(() => {
      this.check = undefined;
      this.arrive();
    }, INFLATING_MS).unref();
  }

  private refuseUnfinished(): void {
    if (this.isOpen)
      this.cut({ code: CloseCode.TryAgainLater, reason: MEMORY_LIMIT_TEXT });
    else this.ws.discardInput();
  }

  receive(data: Buffer, isBinary: boolean): void {
    this.forgetUnfinished();
    if (!this.isOpen || this.isQuitting) return;
    if (isBinary) return void this.countFrame();
    const isNow = !this.isConnecting && !this.waiting && this.mayHandleNext();
    const bytes = this.bytesToCount(data, isNow);
    const isCounted = bytes === 0 || this.share.take(bytes);
    const text = data.toString();
    if (!isCounted) return this.onOverload(text);
    if (isNow) return this.work(text, bytes);
    if (!this.waiting) this.pause();
    (this.waiting ??= []).push([text, bytes]);
  }

  /**
   * The memory limit is reached. A client with queued messages is disconnected: it would get one refusal per message.
   */
  private onOverload(text: string): void {
    if (!this.waiting) this.owner.onOverload(this, text);
    else this.cut({ code: CloseCode.TryAgainLater, reason: MEMORY_LIMIT_TEXT });
  }

  /** How many bytes to count; 0 for a small message that runs at once while few requests are pending. */
  private bytesToCount(data: Buffer, isNow: boolean): number {
    const size = documentBytes(data);
    const isCounted =
      !isNow || size > UNCOUNTED_MESSAGE_BYTES || this.pending > MAX_UNCOUNTED;
    return isCounted ? size + WAITING_REQUEST_BYTES : 0;
  }

  receiveControl(): void {
    this.countFrame();
  }

  /** The unfinished message is complete, or was abandoned. */
  private forgetUnfinished(): void {
    if (this.unfinished.size > 0) this.unfinished.give(this.unfinished.size);
  }

  /** @param bytes to release when it is done */
  private work(text: string, bytes: number): void {
    if (this.isQuitting || this.connection?.destroyed)
      return this.share.give(bytes);
    this.turn.spend(text.length);
    const before = this.connection?.params;
    const done = this.owner.onText(this, text);
    if (bytes === 0) return;
    const { connection } = this;
    const finish = () => this.share.give(bytes);
    if (!done || !connection) return finish();
    const { params, messageId } = connection;
    // a connection lives long: it must not keep the params of its last large request
    const forget = () => {
      finish();
      if (bytes <= FREE_BYTES) return;
      if (params !== before && connection.params === params)
        connection.params = {};
      if (connection.messageId === messageId) connection.messageId = 0;
    };
    done.then(forget, forget);
  }

  /** Whether the next message may be handled now; otherwise `onTurn` is called later. */
  private mayHandleNext(): boolean {
    return this.turn.mayGoOn() && this.countFrame();
  }

  /** Count a frame. Beyond the limit per second, nothing more is read from the client until the second is over. */
  private countFrame(): boolean {
    if (this.readyState === WebSocket.CLOSED) return true; // what it has sent is little
    const ms = this.rate.take(this.owner.maxMessagesPerSecond);
    if (ms === 0) return true;
    this.slowedDown ??= setTimeout(() => {
      this.slowedDown = undefined;
      this.onTurn();
    }, ms);
    this.pause();
    return false;
  }

  pause(): void {
    this.isPaused = true;
    this.ws.pause();
  }

  /** Resume reading, unless another reason to pause remains. */
  resume(): void {
    const isBusy = this.pending >= MAX_PENDING;
    if (!this.isPaused || this.isConnecting || this.waiting) return;
    if (isBusy || this.isBehind || this.slowedDown) return;
    this.isPaused = false;
    this.ws.resume();
  }
}

const TEXT = "websocket";
const FRAME = "websocket frame";
const AS_TEXT = { binary: false };

function encodeText(value: object): Buffer {
  return Buffer.from(encode(value));
}

function encodeFrame(value: object): Buffer {
  return textFrame(encode(value));
}

/**
 * The parts of a message that `ws` keeps until it is complete: chunks of a frame, and fragments. There is no public way to know;
 * `test/server/heldBytes.test.ts` fails if a version of `ws` names this otherwise.
 */
interface Receiver {
  _buffers: readonly Buffer[];
  _bufferedBytes: number;
  _fragments: readonly Buffer[];
  /** The bytes of the fragments, inflated, and as they were received. */
  _messageLength: number;
  _totalPayloadLength: number;
  _extensions: { "permessage-deflate"?: Inflater };
  /** Bytes that have not been processed yet. */
  writableLength: number;
}

interface Inflater {
  /** The limit of the next fragment, inflated; 0 for none. */
  _maxPayload: number;
  decompress: (data: Buffer, isLast: boolean, done: unknown) => void;
}

/** The websocket with a field for its spark, so that listeners need no closure per client. */
export class SparkSocket extends WebSocket {
  spark: Spark | undefined = undefined;
  declare private readonly _receiver: Receiver | null;

  /** How much memory the received part of a message takes. */
  get unfinishedBytes(): number {
    const { _receiver: receiver } = this;
    if (!receiver) return 0;
    const { _buffers, _fragments, _bufferedBytes, _messageLength } = receiver;
    const pieces = _buffers.length + _fragments.length;
    return _bufferedBytes + _messageLength + pieces * PIECE_BYTES;
  }

  /** Whether compressed bytes are being processed. */
  get isInflating(): boolean {
    const { _receiver: receiver, spark } = this;
    return spark!.isCompressed && receiver!.writableLength > 0;
  }

  /** Replies that wait for the end of the tick are sent first. */
  override close(code?: number, reason?: string | Buffer): void {
    const { spark } = this;
    if (!spark) return super.close(code, reason);
    spark.flush();
    if (code === CloseCode.MessageTooBig && reason === undefined)
      reason = tooBig(spark);
    super.close(code, reason);
  }

  /** Pass all events of the websocket to a spark. */
  attach(spark: Spark): void {
    this.spark = spark;
    if (spark.isCompressed) this.limitRatio(spark.owner.maxLength);
    this.on("message", onMessage);
    // after ws, which by then has emitted the messages that end in the chunk
    spark.socket.on("data", () => spark.arrive());
    this.on("ping", onControlFrame);
    this.on("pong", onControlFrame);
    this.on("error", onError);
    this.on("close", onClose);
  }

  /** Limit what a message is inflated to, as that of a body over HTTP is. */
  private limitRatio(maxLength: number): void {
    const { _receiver: receiver } = this;
    const inflater = receiver?._extensions["permessage-deflate"];
    if (!inflater) return;
    const inflate = inflater.decompress.bind(inflater);
    const longest = maxLength > 0 ? maxLength : Infinity;
    inflater.decompress = (...fragment) => {
      const { _totalPayloadLength: received, _messageLength: inflated } =
        receiver;
      const most = Math.min(longest, mostInflated(received));
      inflater._maxPayload = Math.max(1, most - inflated);
      inflate(...fragment);
    };
  }

  /** Discard all further input, even the client's reply to the close frame. */
  discardInput(): void {
    const { socket, isCompressed } = this.spark!;
    socket.removeAllListeners("data").resume();
    // the compressor may still hold data that precedes the close frame
    if (!isCompressed) socket.end();
    destroyAfter(socket);
  }
}

function tooBig({ owner, isCompressed }: Spark): string {
  const ratio = isCompressed ? `, ${MAX_RATIO} times the compressed ones` : "";
  return `message too big (limit ${owner.maxLength} bytes${ratio})`;
}

function onMessage(this: WebSocket, data: unknown, isBinary: boolean): void {
  (this as SparkSocket).spark!.receive(data as Buffer, isBinary);
}

function onControlFrame(this: WebSocket): void {
  (this as SparkSocket).spark!.receiveControl();
}

/** Invalid frames and socket errors; ws has already closed it, with a matching code. */
function onError(): void {}

function onClose(this: WebSocket): void {
  const { spark } = this as SparkSocket;
  spark!.onClosed();
}

/**
 * The close code and reason for a refusal by the `create` middleware: the message of an error with a status; other
 * errors may contain details that clients must not see.
 */
export function refusalOf(error: unknown): Refusal {
  const { status = 0 } = httpFactsOf(error);
  if (status < 400)
    return { code: CloseCode.InternalError, reason: "connection refused" };
  const { message } = toError(error);
  return { code: closeCodeOf(status), reason: shorten(message), message };
}

function closeCodeOf(status: number): number {
  if (status === 429 || status === 503) return CloseCode.TryAgainLater;
  return status < 500 ? CloseCode.PolicyViolation : CloseCode.InternalError;
}

function shorten(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_REASON_BYTES) return text;
  let end = MAX_REASON_BYTES;
  while ((bytes[end]! & 0xc0) === 0x80) end--; // do not split a character
  return bytes.toString("utf8", 0, end);
}

/** The params of a URL; if a name is repeated, the last one. */
export function queryOf(url: string): Record<string, string> {
  const mark = url.indexOf("?");
  const query = Object.create(null) as Record<string, string>;
  if (mark === -1) return query;
  for (const [name, value] of new URLSearchParams(url.slice(mark)))
    query[name] = value;
  return query;
}
