/** One client: processes its lines in order, and tracks its pending requests. */
import type { Socket } from "node:net";
import { checkFile, checkVerb } from "../../action/rateLimit";
import { api } from "../../api";
import { endWithin, type Connection } from "../../connection/connection";
import {
  replyFields,
  argumentText,
  type VerbArgument,
  parseParamPair,
} from "../../connection/verbs";
import { codeFieldsOf, errorText, HttpError } from "../../errors";
import { joinTextParams } from "../../input/field";
import { logDisconnect } from "../../log/refusals";
import { tracing } from "../../tracing/tracer";
import { waitAtMost } from "../../utils/promises";
import { Turn } from "../turn";
import { beginMessage, isWorkTracked } from "../work";
import { ByteShare, type Holder, MEMORY_LIMIT_TEXT } from "../heldBytes";
import {
  COPIED_PARAM_BYTES,
  messageBytes,
  paramBytes,
  UNCOUNTED_COPY_BYTES,
  UNCOUNTED_LINE_BYTES,
} from "../estimates";
import {
  legacyFields,
  refuseLength,
  send,
  sendFailure,
  Output,
} from "./output";
import { LineDecoder, type Decoded, type LineFault } from "./lineDecoder";
import {
  errorReply,
  foreignProtocol,
  ownMessageId,
  parseRequest,
  verbReply,
  type SocketRequest,
} from "./protocol";
import { settings } from "../../config/settings";
import type { SocketServer } from "./socketServer";
import { destroyAfter } from "../drain";

/** How long pending requests of a client that has closed its side may take, in ms. */
const HALF_CLOSED_MS = 1000;
/** The bytes of lines that wait for an earlier one at which reading pauses. */
const MAX_WAITING_BYTES = 4096;

/** A line beyond the memory limit. */
const DROPPED: Decoded = { kind: "dropped" };

/** A stored param costs more per line than its length: each action gets a copy, and the log a redacted one. */
const KEPT_WEIGHT = 4;

const QUIT_VERBS = ["quit", "exit"];

/** A line in progress. */
interface Asked {
  messageId: string | number;
  bytes: number;
}

export class SocketClient implements Holder {
  connection?: Connection;
  /** When it last sent something, by `performance.now()`. */
  lastSeen = performance.now();
  lastPing = this.lastSeen;
  readonly output: Output;

  private readonly decoder = new LineDecoder();
  /** The next line, if it has been decoded. */
  private line: Decoded | undefined = undefined;
  /** The counted bytes of lines that have not been decoded. */
  private inputBytes = 0;
  /** The memory of pending lines. */
  private readonly share = new ByteShare(this);
  /** The memory of the received part of the next line. */
  private readonly unfinished = new ByteShare(this);
  /** The memory of the stored params. */
  private readonly stored = new ByteShare(this);
  private readonly kept = new KeptParams(this.stored);
  /** The number of received lines: the default id of a request. */
  private count = 0;
  private running = 0;
  /** A line must take effect before the next one is processed. */
  private isWaiting = false;
  private readonly turn = new Turn(this);
  /** Its lines are ignored, because it is closing. */
  private ignoresInput = false;
  private isGone = false;
  private isBlocked = false;
  private idleCallbacks: (() => void)[] = [];

  constructor(
    readonly server: SocketServer,
    readonly socket: Socket,
  ) {
    this.output = new Output(socket, this);
    this.expectLines();
    this.stored.expectMore(() => this.onParamsRefused());
  }

  get clientAddress(): string | undefined {
    return this.connection?.remoteIP;
  }

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  /** Start reading: the connection is ready. */
  open(connection: Connection): void {
    this.connection = connection;
    this.socket.on("data", (chunk: Buffer) => this.receive(chunk));
  }

  /** The number of received lines. */
  get lineCount(): number {
    return this.count;
  }

  /** Whether the connection may end: no request is pending, or only lines that it ignores. */
  get isIdle(): boolean {
    return this.ignoresInput ? this.running === 0 : !this.isBusy;
  }

  /** Whether requests are pending. */
  get isBusy(): boolean {
    return this.running > 0 || this.hasLine() || this.output.isSendingFile;
  }

  /** The client is a slow consumer: its requests are not read until it has caught up. */
  onBlocked(isBlocked: boolean): void {
    this.isBlocked = isBlocked;
    this.proceed();
  }

  /** The client was disconnected. */
  onCut(reason: string): void {
    this.logDisconnect(`disconnected a slow consumer: ${reason}`);
  }

  ping(serverTime: number): void {
    send(this, {
      status: "keep-alive",
      context: "api",
      serverTime,
    });
  }

  leaveIdle(): void {
    this.server.log("closing an idle connection", "info", {
      to: this.connection?.remoteIP,
    });
    this.destroy();
  }

  /** The client has closed its side; pending requests may still get their replies. */
  onEnd(): void {
    void this.leave(HALF_CLOSED_MS);
  }

  /** End the connection when no request is pending, or after `ms`. */
  async leave(timeoutMs: number): Promise<void> {
    if (this.isBusy) await this.idle(timeoutMs);
    await this.connection?.destroy();
  }

  /**
   * End the connection when the server stops, with a limit for its `destroy` middleware.
   * @returns whether it ended in time
   */
  async leaveForStop(): Promise<boolean> {
    const { connection, server } = this;
    return !connection || endWithin(connection, server.shutdownTimeout());
  }

  /** Disconnect within a second, even a client that does not read its goodbye. */
  endLinger(): void {
    destroyAfter(this.socket);
  }

  /** End the connection now. */
  destroy(): void {
    this.ignoresInput = true;
    this.isGone = true;
    this.releaseWhenDone();
    this.connection?.destroy().catch((error: unknown) => {
      this.server.log(`cannot end a connection: ${errorText(error)}`, "error");
    });
  }

  /** Resolves when its socket is closed. */
  closed(): Promise<void> {
    const { socket } = this;
    if (socket.closed) return Promise.resolve();
    return new Promise((resolve) => socket.once("close", () => resolve()));
  }

  /** Count work for this client as pending until it settles. */
  async track<Result>(work: Promise<Result>): Promise<Result> {
    this.running++;
    try {
      return await work;
    } finally {
      this.settle();
    }
  }

  private receive(chunk: Buffer): void {
    this.lastSeen = performance.now();
    if (this.ignoresInput) return;
    const { delimiter, maxDataLength } = settings().socket;
    this.decoder.configure(delimiter, maxDataLength);
    this.decoder.add(chunk);
    this.proceed();
  }

  /** Decode the next line, if there is one. It counts from now on; beyond the memory limit it is replaced by a refusal. */
  private hasLine(): boolean {
    if (this.line !== undefined) return true;
    if (this.decoder.waitingBytes === 0) return false;
    this.share.give(this.inputBytes);
    this.inputBytes = 0;
    const line = this.decoder.next();
    if (line !== undefined) this.unfinished.give(this.unfinished.size);
    const isTaken =
      typeof line !== "string" || this.share.take(messageBytes(line));
    this.line = isTaken ? line : DROPPED;
    this.countInput();
    return line !== undefined;
  }

  /** Register for a drop again after each one: further lines may follow a line that was dropped. */
  private expectLines(): void {
    this.unfinished.expectMore(() => {
      this.decoder.dropLine();
      this.expectLines();
    });
  }

  /** Forget the lines that have been received. */
  private dropLines(): void {
    if (typeof this.line === "string") this.share.give(messageBytes(this.line));
    this.line = undefined;
    this.decoder.clear();
  }

  private proceed(): void {
    while (!this.isWaiting && !this.isBlocked && this.hasLine()) {
      if (this.ignoresInput || this.connection!.destroyed) {
        this.dropLines();
        break;
      }
      if (!this.turn.mayGoOn(this.decoder.waitingBytes > 0)) break;
      const line = this.line!;
      this.line = undefined;
      const lineBytes = typeof line === "string" ? line.length : 0;
      this.turn.spend(lineBytes + this.kept.bytes * KEPT_WEIGHT);
      const effect = isWorkTracked()
        ? beginMessage(this.connection!, () => this.handle(line))
        : this.handle(line);
      if (effect) this.waitFor(effect);
    }
    this.countInput();
    this.updateReading();
  }

  /** Count the bytes that have not been decoded; an unfinished line beyond the memory limit is dropped. */
  private countInput(): void {
    const { decoder, share, unfinished } = this;
    const { waitingBytes } = decoder;
    if (waitingBytes !== this.inputBytes) {
      share.give(this.inputBytes);
      share.add(waitingBytes);
      this.inputBytes = waitingBytes;
    }
    const more = decoder.storedBytes - unfinished.size;
    if (more === 0) return;
    if (waitingBytes > 0 || more < 0) unfinished.add(more);
    else if (!unfinished.take(more)) {
      decoder.dropLine();
      unfinished.add(decoder.storedBytes - unfinished.size);
    }
  }

  onTurn(): void {
    this.proceed();
    this.fireWhenIdle();
  }

  private waitFor(effect: Promise<unknown>): void {
    this.isWaiting = true;
    const next = () => {
      this.isWaiting = false;
      this.proceed();
      this.fireWhenIdle();
    };
    effect.then(next, (error: unknown) => {
      this.server.log(
        `cannot respond to a request: ${errorText(error)}`,
        "error",
      );
      next();
    });
  }

  private updateReading(): void {
    const isStopped = this.isWaiting || this.turn.isOver;
    const isToPause =
      this.isBlocked ||
      (isStopped && this.decoder.waitingBytes > MAX_WAITING_BYTES);
    if (isToPause === this.socket.isPaused() || this.output.hasEnded) return;
    if (isToPause) this.socket.pause();
    else this.socket.resume();
  }

  /** @returns a promise if the next line must wait for this one */
  private handle(line: Decoded): Promise<unknown> | undefined {
    const connection = this.connection!;
    this.count++;
    // read before the line takes effect: a line may set the id of the next one
    const messageId = ownMessageId(connection.params) ?? this.count;
    if (typeof line !== "string") return this.refuse(line, messageId);

    const bytes = messageBytes(line);
    const foreign = foreignProtocol(line, this.count);
    const request = foreign
      ? this.refuseProtocol(foreign)
      : parseRequest(line, this.server.requestNames());
    if (request?.kind === "action") {
      this.runAction(connection, request, { messageId, bytes });
      return undefined;
    }
    const effect = request && this.process(request, { messageId, bytes });
    const done = () => this.share.give(bytes);
    if (effect) effect.then(done, done);
    else done();
    return effect;
  }

  /** Process a line that is not an action. */
  private process(
    request: Exclude<SocketRequest, { kind: "action" }>,
    asked: Asked,
  ): Promise<unknown> | undefined {
    const connection = this.connection!;
    const { messageId } = asked;
    connection.messageId = messageId;
    if (request.kind === "refused") {
      send(this, errorReply(request.reason, messageId));
      return undefined;
    }
    if (request.kind === "verb")
      return this.replyToVerb(connection, request, asked);
    const { legacyReplies } = settings().socket;
    const file = (request.file ??
      (legacyReplies ? connection.params.fileName : undefined)) as
      string | undefined;
    if (file !== undefined) {
      const { params } = connection;
      const path = detached(String(file));
      const refusal = this.refusalToKeep(params, "file", path);
      if (refusal !== undefined) {
        send(this, errorReply(refusal, messageId));
        return undefined;
      }
      const before = paramBytes(params, "file");
      params.file = path;
      this.kept.grow(paramBytes(params, "file") - before);
    }
    const counted = checkFile(connection);
    return counted
      ? this.track(this.serveFile(counted, messageId))
      : this.server.processFile(connection);
  }

  private async serveFile(
    counted: Promise<void>,
    messageId: string | number,
  ): Promise<void> {
    try {
      await counted;
    } catch (error) {
      send(this, errorReply(error, messageId));
      return;
    }
    await this.server.processFile(this.connection!);
  }

  private runAction(
    connection: Connection,
    { action, params, added }: SocketRequest & { kind: "action" },
    { messageId, bytes }: Asked,
  ): void {
    // the action gets a copy of the stored params; those of the line are counted with the line
    const copied = params ? 0 : this.kept.copyBytes(connection.params);
    if (copied > 0 && !this.share.take(copied)) {
      this.share.give(bytes);
      send(this, errorReply(MEMORY_LIMIT_TEXT, messageId));
      return;
    }
    if (params) connection.params = params; // fresh from the parser, not shared
    if (action !== undefined) connection.params.action = action;
    const kept = connection.params;
    if (added) addParams(connection, added, action);
    const id = prepareReply(connection, messageId);
    this.running++;
    const wanted = params?.action;
    const done = () => {
      this.share.give(bytes + copied);
      if (bytes > UNCOUNTED_LINE_BYTES) forgetId(connection, id);
      this.settle();
    };
    const responded = this.server.processAction(connection);
    traceUntil(responded);
    responded.then(done, (error: unknown) => {
      sendFailure(this, error, id);
      done();
    });
    // the action has its params; the rest is stored for the next lines
    if (added) connection.params = kept;
    if (params) this.keepParams(connection, wanted, bytes);
    else keepAction(connection, action, bytes);
  }

  /** Store the params of a line for the next lines, unless they may not stay. */
  private keepParams(
    connection: Connection,
    action: unknown,
    bytes: number,
  ): void {
    const mayStay = this.mayStay(action, bytes);
    if (!mayStay) connection.params = {};
    this.kept.replace(mayStay ? bytes : 0);
  }

  /** Whether the params of a line are stored for the next lines. */
  private mayStay(action: unknown, bytes: number): boolean {
    const { maxParamBytes } = this;
    if (action !== undefined && !isKnown(action)) return false;
    return maxParamBytes <= 0 || bytes <= maxParamBytes;
  }

  /** The reason why a param must not be stored for the next lines. */
  private refusalToKeep(
    params: Connection["params"],
    key: string,
    value: string,
  ): string | undefined {
    const bytes = paramBytes({ [key]: value }, key) - paramBytes(params, key);
    return this.kept.refusal(bytes, this.maxParamBytes);
  }

  private get maxParamBytes(): number {
    return settings().socket.maxParamBytes;
  }

  private async replyToVerb(
    connection: Connection,
    { verb, args }: SocketRequest & { kind: "verb" },
    { messageId }: Asked,
  ): Promise<void> {
    if (QUIT_VERBS.includes(verb)) {
      this.ignoresInput = true;
      if (this.running > 0) await this.idle(this.server.shutdownTimeout());
    }
    if (connection.destroyed) return;
    this.running++;
    try {
      const counted = checkVerb(connection, verb);
      if (counted) await counted;
      const data = await this.callVerb(connection, verb, args);
      if (!connection.destroyed) {
        const reply = verbReply(data, messageId);
        const more = replyFields(verb, connection);
        send(this, { ...reply, ...more, ...this.legacyFields(verb, data) });
      }
    } catch (error) {
      const shown = this.server.failedVerb(error, verb);
      send(this, { ...errorReply(shown, messageId), ...codeFieldsOf(error) });
    } finally {
      this.settle();
    }
  }

  /** Run a verb, and update the size of the stored params if the verb changes them. */
  private async callVerb(
    connection: Connection,
    verb: string,
    args: VerbArgument[],
  ): Promise<unknown> {
    if (!verb.startsWith("param"))
      return (await connection.verbs(verb, args)) as unknown;
    const { params } = connection;
    const own = args.slice(0, 2).map((word) => detached(argumentText(word)));
    const [key = "", value] =
      verb === "paramAdd" ? parseParamPair(own) : own.slice(0, 1);
    if (value !== undefined) {
      const refusal = this.refusalToKeep(params, key, value);
      if (refusal !== undefined) throw new HttpError(400, refusal);
    }
    const before = paramBytes(params, key);
    const data: unknown = await connection.verbs(verb, own);
    if (connection.params !== params) this.kept.replace(0);
    else this.kept.grow(paramBytes(params, key) - before);
    return data;
  }

  private legacyFields(verb: string, data: unknown): object {
    const { legacyReplies } = settings().socket;
    return legacyReplies ? legacyFields(verb, data) : {};
  }

  private async refuse(
    fault: LineFault,
    messageId: string | number,
  ): Promise<void> {
    if (fault.kind === "dropped") {
      send(this, errorReply(MEMORY_LIMIT_TEXT, messageId));
      return;
    }
    if (fault.kind === "break") {
      this.ignoresInput = true;
      await this.leave(HALF_CLOSED_MS);
      return;
    }
    await this.track(refuseLength(this, fault.received, messageId));
    if (fault.kind === "endless") this.destroy();
  }

  private refuseProtocol(name: string): undefined {
    this.logDisconnect(`disconnected a client that speaks ${name}`);
    this.destroy();
  }

  /** Without the stored params, the next lines of the client would mean something else. */
  private onParamsRefused(): void {
    this.logDisconnect(
      "disconnected a client, because the memory of its stored params is needed",
    );
    this.destroy();
  }

  private logDisconnect(message: string): void {
    const { server, socket, connection } = this;
    logDisconnect(server, socket, message, { to: connection?.remoteIP });
  }

  /** Actions that continue after their client has disconnected still hold their params. */
  private releaseWhenDone(): void {
    if (!this.isGone || this.running > 0) return;
    for (const share of [this.share, this.unfinished, this.stored])
      share.release();
  }

  private settle(): void {
    this.running--;
    this.releaseWhenDone();
    this.fireWhenIdle();
  }

  private fireWhenIdle(): void {
    if (!this.isIdle) return;
    this.server.onIdle(this);
    if (this.idleCallbacks.length === 0) return;
    const callbacks = this.idleCallbacks;
    this.idleCallbacks = [];
    for (const callback of callbacks) callback();
  }

  /** Resolves when no request is pending, or after `ms`. */
  private async idle(timeoutMs: number): Promise<void> {
    const idle = new Promise<void>((resolve) =>
      this.idleCallbacks.push(resolve),
    );
    await waitAtMost(timeoutMs, idle);
  }
}

/** Params for this line only, over the stored ones. */
function addParams(
  connection: Connection,
  added: Connection["params"],
  action: unknown,
): void {
  const kept = connection.params;
  connection.params = { ...kept, ...added, action };
  joinTextParams(connection.params, kept, added);
}

/** @returns the id of the reply: the client's own one, or else the default */
function prepareReply(
  connection: Connection,
  messageId: string | number,
): string | number {
  const id = ownMessageId(connection.params) ?? messageId;
  connection.messageId = id;
  connection.error = null;
  connection.response = {};
  return id;
}

/** No other code waits for the response. */
function traceUntil(work: Promise<unknown>): void {
  tracing.tracer?.entry()?.keepUntil(work);
}

/** An id from a long line may be a part of it, which would stay in memory. */
function forgetId(connection: Connection, id: string | number): void {
  if (connection.messageId === id) connection.messageId = 0;
}

function isKnown(action: unknown): boolean {
  return (
    typeof action === "string" && Object.hasOwn(api.actions.actions, action)
  );
}

/** After a long line, only the name of its action is stored for the next lines. */
function keepAction(
  { params }: Connection,
  action: unknown,
  bytes: number,
): void {
  if (bytes <= UNCOUNTED_LINE_BYTES || action === undefined) return;
  if (isKnown(action)) params.action = detached(action as string);
  else delete params.action;
}

// --- The memory of the stored params of a client.

type Params = Record<string, unknown>;

class KeptParams {
  private held = 0;
  /** The number of params, once computed. */
  private count: number | undefined;

  constructor(private readonly share: ByteShare) {}

  /** The approximate memory of the stored params, in bytes. */
  get bytes(): number {
    return this.held;
  }

  /** The approximate bytes of a copy. */
  copyBytes(params: Params): number {
    if (this.held <= UNCOUNTED_COPY_BYTES) return 0;
    this.count ??= Object.keys(params).length;
    return COPIED_PARAM_BYTES * this.count;
  }

  /** Record that the params were replaced, with the new number of bytes. */
  replace(bytes: number): void {
    this.change(bytes - this.held);
  }

  /**
   * Check a param before it is set.
   * @param limit for all params, in bytes; 0 for none
   * @returns the reason for a refusal, or undefined
   */
  refusal(bytes: number, limit: number): string | undefined {
    if (bytes <= 0) return undefined;
    if (limit > 0 && this.held + bytes > limit)
      return `too many bytes of params (limit ${limit})`;
    return this.share.hasRoom(bytes) ? undefined : MEMORY_LIMIT_TEXT;
  }

  /** Record that a param was set or deleted, with the change in bytes. */
  grow(bytes: number): void {
    this.change(Math.max(-this.held, bytes));
  }

  private change(bytes: number): void {
    this.held += bytes;
    this.count = undefined;
    if (bytes > 0) this.share.add(bytes);
    else if (bytes < 0) this.share.give(-bytes);
  }
}

/** A flat copy of a string: a substring of a line would keep the whole line in memory. */
export function detached(text: string): string {
  return Buffer.from(text).toString();
}
