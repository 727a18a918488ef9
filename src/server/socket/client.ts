/** One client: takes its lines in order, runs what they ask for, and knows what of it is still running. */
import type { Socket } from "node:net";
import { countFile, countVerb } from "../../action/rateLimit";
import { endWithin, type Connection } from "../../connection/connection";
import { answerFields } from "../../connection/roomVerbs";
import { isCutLogged } from "../../log/refusals";
import { refuseLength, send, sendFailure, shownFailure } from "./answers";
import { legacyFields } from "./legacyReplies";
import { LineDecoder, type Decoded, type LineFault } from "./lineDecoder";
import { Output, type OutputLimits, type OutputOwner } from "./output";
import {
  errorReply,
  isHttp,
  ownMessageId,
  parseRequest,
  verbReply,
  type SocketRequest,
} from "./protocol";
import { SOCKET_DEFAULTS } from "./socketConfig";
import type { SocketServer } from "./socketServer";

/** How long the requests of a client that has closed its side may take, in ms. */
const HALF_CLOSED_MS = 1000;
/** So many lines that wait for an earlier one stop the reading. */
const MAX_WAITING_LINES = 64;

const QUIT_VERBS = ["quit", "exit"];

export class SocketClient implements OutputOwner {
  connection?: Connection;
  /** When it last sent something, in ms since the epoch. */
  lastSeen = Date.now();
  lastPing = this.lastSeen;
  readonly output: Output;

  private readonly decoder = new LineDecoder();
  private lines: Decoded[] = [];
  private nextLine = 0;
  /** How many lines it has sent: the default id of a request. */
  private count = 0;
  private running = 0;
  /** A line has to take effect before the next one is looked at. */
  private isWaiting = false;
  /** Its lines are ignored: it has taken leave. */
  private isDeaf = false;
  private isBlocked = false;
  private idleCallbacks: (() => void)[] = [];

  constructor(
    readonly server: SocketServer,
    readonly socket: Socket,
  ) {
    this.output = new Output(socket, this);
  }

  /** Begin to read: the connection is ready. */
  open(connection: Connection): void {
    this.connection = connection;
    this.socket.on("data", (chunk: Buffer) => this.receive(chunk));
  }

  /** How many lines it has sent. */
  get lineCount(): number {
    return this.count;
  }

  /** Whether it waits for an answer. */
  get isBusy(): boolean {
    return (
      this.running > 0 ||
      this.nextLine < this.lines.length ||
      this.output.isSendingFile
    );
  }

  limits(): OutputLimits {
    const { maxBufferedBytes, sendTimeout } = this.server.config;
    return {
      maxBufferedBytes: maxBufferedBytes ?? SOCKET_DEFAULTS.maxBufferedBytes,
      sendTimeout: sendTimeout ?? SOCKET_DEFAULTS.sendTimeout,
    };
  }

  onBlocked(isBlocked: boolean): void {
    this.isBlocked = isBlocked;
    this.proceed();
  }

  onCut(reason: string): void {
    this.logCut(`cut a client that does not read: ${reason}`);
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

  /** The client has closed its side; what it has asked for may still be answered. */
  onEnd(): void {
    void this.leave(HALF_CLOSED_MS);
  }

  /** End the connection when nothing runs any more, or after so many ms. */
  async leave(timeoutMs: number): Promise<void> {
    if (this.isBusy) await this.idle(timeoutMs);
    await this.connection?.destroy();
  }

  /**
   * The same when the server stops, which cannot wait for ever for its `destroy` middleware.
   * @returns whether that was done in time
   */
  async leaveForStop(timeoutMs: number): Promise<boolean> {
    if (this.isBusy) await this.idle(timeoutMs);
    const { connection, server } = this;
    return !connection || endWithin(connection, server.shutdownTimeout());
  }

  /** End the connection now. */
  destroy(): void {
    this.isDeaf = true;
    this.connection?.destroy().catch((error: unknown) => {
      this.server.log(`cannot end a connection: ${String(error)}`, "error");
    });
  }

  /** Resolves when its socket is closed. */
  closed(): Promise<void> {
    const { socket } = this;
    if (socket.closed) return Promise.resolve();
    return new Promise((resolve) => socket.once("close", () => resolve()));
  }

  /** Count something that runs for this client, until it settles. */
  async track<Result>(work: Promise<Result>): Promise<Result> {
    this.running++;
    try {
      return await work;
    } finally {
      this.settle();
    }
  }

  private receive(chunk: Buffer): void {
    this.lastSeen = Date.now();
    if (this.isDeaf) return;
    const { delimiter, maxDataLength } = this.server.config;
    this.decoder.configure(
      String(delimiter ?? SOCKET_DEFAULTS.delimiter),
      maxDataLength ?? SOCKET_DEFAULTS.maxDataLength,
    );
    const lines = this.decoder.push(chunk);
    if (this.nextLine < this.lines.length) this.lines.push(...lines);
    else this.startWith(lines);
    this.proceed();
  }

  private startWith(lines: Decoded[]): void {
    this.lines = lines;
    this.nextLine = 0;
  }

  private proceed(): void {
    while (
      !this.isWaiting &&
      !this.isBlocked &&
      this.nextLine < this.lines.length
    ) {
      if (this.isDeaf || this.connection!.destroyed) {
        this.startWith([]);
        break;
      }
      const effect = this.handle(this.lines[this.nextLine++]!);
      if (effect) this.waitFor(effect);
    }
    this.updateReading();
  }

  private waitFor(effect: Promise<unknown>): void {
    this.isWaiting = true;
    const next = () => {
      this.isWaiting = false;
      this.proceed();
      this.fireWhenIdle();
    };
    effect.then(next, (error: unknown) => {
      this.server.log(`cannot answer a request: ${String(error)}`, "error");
      next();
    });
  }

  private updateReading(): void {
    const waiting = this.lines.length - this.nextLine;
    const isToPause =
      this.isBlocked || (this.isWaiting && waiting > MAX_WAITING_LINES);
    if (isToPause === this.socket.isPaused() || this.output.hasEnded) return;
    if (isToPause) this.socket.pause();
    else this.socket.resume();
  }

  /** @returns a promise when the next line has to wait for this one to take effect */
  private handle(line: Decoded): Promise<unknown> | undefined {
    const connection = this.connection!;
    this.count++;
    // taken before the line takes effect: the client's own id may be set by one line for the next
    const messageId = ownMessageId(connection.params) ?? this.count;
    if (typeof line !== "string") return this.refuse(line, messageId);

    if (isHttp(line, this.count)) return this.refuseHttp();
    const request = parseRequest(line, this.server.requestNames());
    if (request.kind === "action") {
      this.runAction(connection, request, messageId);
      return undefined;
    }
    connection.messageId = messageId;
    if (request.kind === "refused") {
      send(this, errorReply(request.reason, messageId));
      return undefined;
    }
    if (request.kind === "verb")
      return this.runVerb(connection, request, messageId);
    const { legacyReplies } = this.server.config;
    const file =
      request.file ??
      (legacyReplies === true ? connection.params.fileName : undefined);
    if (file !== undefined) connection.params.file = file;
    const counted = countFile(connection);
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
    { action, params }: SocketRequest & { kind: "action" },
    messageId: string | number,
  ): void {
    if (params) connection.params = params; // fresh from the parser: nobody else has them
    if (action !== undefined) connection.params.action = action;
    const id = ownMessageId(connection.params) ?? messageId;
    connection.messageId = id;
    connection.error = null;
    connection.response = {};
    this.running++;
    this.server.processAction(connection).then(
      () => this.settle(),
      (error: unknown) => {
        sendFailure(this, error, id);
        this.settle();
      },
    );
  }

  private async runVerb(
    connection: Connection,
    { verb, words }: SocketRequest & { kind: "verb" },
    messageId: string | number,
  ): Promise<void> {
    if (QUIT_VERBS.includes(verb)) {
      this.isDeaf = true;
      if (this.running > 0) await this.idle(this.server.shutdownTimeout());
    }
    this.running++;
    try {
      const counted = countVerb(connection, verb);
      if (counted) await counted;
      const data: unknown = await connection.verbs(verb, words);
      if (!connection.destroyed) {
        const reply = verbReply(data, messageId);
        const more = answerFields(verb, connection);
        send(this, { ...reply, ...more, ...this.legacyFields(verb, data) });
      }
    } catch (error) {
      send(this, errorReply(shownFailure(this, error), messageId));
    } finally {
      this.settle();
    }
  }

  private legacyFields(verb: string, data: unknown): object {
    const { legacyReplies } = this.server.config;
    return legacyReplies === true ? legacyFields(verb, data) : {};
  }

  private async refuse(
    fault: LineFault,
    messageId: string | number,
  ): Promise<void> {
    if (fault.kind === "break") {
      this.isDeaf = true;
      await this.leave(HALF_CLOSED_MS);
      return;
    }
    await this.track(refuseLength(this, fault.received, messageId));
    if (fault.kind === "endless") this.destroy();
  }

  private refuseHttp(): undefined {
    this.logCut("cut a client that speaks HTTP");
    this.destroy();
  }

  private logCut(message: string): void {
    const { server, socket, connection } = this;
    if (isCutLogged(server.type, socket, "warning"))
      server.log(message, "warning", { to: connection?.remoteIP });
  }

  private settle(): void {
    this.running--;
    this.fireWhenIdle();
  }

  private fireWhenIdle(): void {
    if (this.idleCallbacks.length === 0) return;
    const isIdle = this.isDeaf ? this.running === 0 : !this.isBusy;
    if (!isIdle) return;
    const callbacks = this.idleCallbacks;
    this.idleCallbacks = [];
    for (const callback of callbacks) callback();
  }

  /** Resolves when nothing runs any more, or after so many ms. */
  private idle(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.idleCallbacks.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
