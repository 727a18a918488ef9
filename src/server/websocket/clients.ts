/**
 * Tracks every client from its upgrade to its end: passes its messages to requests, and its end to its connection.
 */
import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { api } from "../../api";
import { settings } from "../../config/settings";
import { endWithin, type Connection } from "../../connection/connection";
import { errorText } from "../../errors";
import { isThenable, timerMs } from "../../utils/promises";
import { levelOf } from "../../exposure/errors";
import { logDisconnect } from "../../log/refusals";
import { overloadedError } from "../../overload/overload";
import {
  describeJsonLimit,
  topLevelScalar,
  type JsonLimitError,
} from "../jsonRequest";
import { MEMORY_LIMIT_TEXT } from "../heldBytes";
import { clientAddressOf } from "../proxies";
import { CloseCode, decode, ID, idText, pingText, textFrame } from "./protocol";
import { handleRequest, refuseRequest } from "./requests";
import {
  refusalOf,
  Spark,
  type CloseReason,
  type SparkAddress,
  type SparkSocket,
} from "./spark";
import type { WebSocketServer } from "./webSocketServer";

/** How long a slow consumer may read nothing if pings are disabled, in ms. */
const STALLED_MS = 60_000;

export class Clients {
  /** All clients, including those whose connection is not ready yet. */
  readonly sparks = new Set<Spark>();
  /** Connections that are leaving their rooms. */
  private readonly leaving = new Set<Connection>();

  private onEmpty: () => void = () => undefined;

  constructor(private readonly host: WebSocketServer) {}

  get maxBufferedBytes(): number {
    return settings().websocket.maxBufferedBytes;
  }

  get maxMessagesPerSecond(): number {
    return settings().websocket.maxMessagesPerSecond;
  }

  get maxLength(): number {
    return settings().websocket.server.maxLength;
  }

  /** How long a slow consumer may read nothing, in ms: two ping intervals. */
  get stalledMs(): number {
    const { pingInterval } = settings().websocket.server;
    return 2 * Number(pingInterval) || STALLED_MS;
  }

  newId(): string {
    const { idGenerator } = settings().websocket.server;
    return typeof idGenerator === "function" ? idGenerator() : randomId();
  }

  addressOf(req: IncomingMessage): SparkAddress {
    return clientAddressOf(req);
  }

  onSocket(
    ws: SparkSocket,
    req: IncomingMessage,
    fingerprint: string | undefined,
  ): void {
    const refusal = this.refusal();
    if (refusal !== undefined) {
      ws.on("error", () => undefined);
      ws.close(CloseCode.TryAgainLater, refusal);
      return;
    }
    const spark = new Spark(this, ws, req, this.addressOf(req));
    this.sparks.add(spark);
    this.host.announceSpark("connection", spark);
    this.connect(spark, fingerprint);
  }

  /** The reason why no more clients are accepted, or undefined. */
  private refusal(): string | undefined {
    const { overload } = api;
    if (overload?.isOverloaded === true)
      return overloadedError(overload).message;
    const max = settings().websocket.maxConnections;
    return max > 0 && this.sparks.size >= max
      ? `too many connections (limit ${max})`
      : undefined;
  }

  onText(spark: Spark, text: string): Promise<unknown> | undefined {
    let message;
    try {
      message = decode(text);
    } catch (error) {
      this.refuse(spark, text, describeJsonLimit(error as JsonLimitError));
      return undefined;
    }
    if (message === undefined) return undefined;
    if (spark.listenerCount("data") > 0) spark.emit("data", message);
    if (typeof message === "string") {
      if (message === ID) spark.writeText(idText(spark.id));
      return undefined;
    }
    const { connection } = spark;
    if (!connection || connection.destroyed) return undefined;
    return handleRequest(this.host, spark, connection, message);
  }

  onOverload(spark: Spark, text: string): void {
    this.refuse(spark, text, MEMORY_LIMIT_TEXT);
  }

  /** The message was not parsed: its id is extracted from the text, so that the client can match the refusal. */
  private refuse({ connection }: Spark, text: string, reason: string): void {
    if (!connection || connection.destroyed) return;
    if (!text.trimStart().startsWith("{")) return; // not a request
    refuseRequest(this.host, connection, {
      reason,
      messageId: topLevelScalar(text, "messageId"),
    });
  }

  /** The messages that waited are handled. */
  onWorked(spark: Spark): void {
    this.host.afterWork(spark);
  }

  onCut(spark: Spark, { code, reason }: CloseReason): void {
    const facts = { to: spark.address.ip, code };
    logDisconnect(
      this.host,
      spark.socket,
      `disconnected a client: ${reason}`,
      facts,
    );
    this.destroyConnection(spark);
  }

  onGone(spark: Spark): void {
    this.sparks.delete(spark);
    if (this.sparks.size === 0) this.onEmpty();
    this.host.announceSpark("disconnection", spark);
    this.destroyConnection(spark);
    this.host.afterWork(spark);
  }

  /** End a client's connection: it leaves its rooms, and says goodbye if its websocket is still open. */
  destroyConnection({ connection }: Spark): void {
    if (!connection || connection.destroyed) return;
    this.leaving.add(connection);
    void connection
      .destroy()
      .catch((error: unknown) =>
        this.host.log(`cannot end a connection: ${errorText(error)}`, "error"),
      )
      .then(() => this.leaving.delete(connection));
  }

  /** Resolves when there are no clients. */
  async allGone(): Promise<void> {
    if (this.sparks.size === 0) return;
    await new Promise<void>((resolve) => (this.onEmpty = resolve));
  }

  /**
   * Resolves when all ended connections have left their rooms.
   * @returns the number of connections whose `destroy` middleware was abandoned
   */
  async allLeft(timeoutMs: number): Promise<number> {
    const inTime = await Promise.all(
      // errors are already logged
      [...this.leaving].map((one) =>
        endWithin(one, timeoutMs).catch(() => true),
      ),
    );
    return inTime.filter((isInTime) => !isInTime).length;
  }

  private connect(spark: Spark, fingerprint: string | undefined): void {
    const opened = this.open(spark, fingerprint);
    if (!isThenable(opened)) {
      this.adopt(spark, opened);
      return;
    }
    spark.holdMessages();
    void opened.then((connection) => {
      this.adopt(spark, connection);
      spark.releaseMessages();
    });
  }

  /** @returns undefined if the connection could not be created, for example because its `create` middleware failed */
  private open(
    spark: Spark,
    fingerprint: string | undefined,
  ): Connection | undefined | Promise<Connection | undefined> {
    const fail = (error: unknown) => {
      const level = levelOf(error);
      const message = `cannot make a connection: ${errorText(error)}`;
      logDisconnect(this.host, spark.socket, message, { level });
      return undefined;
    };
    try {
      const opened = this.host.openConnection({
        rawConnection: spark,
        fingerprint,
        remoteAddress: spark.address.ip,
        remotePort: spark.address.port,
      });
      return isThenable(opened) ? opened.catch(fail) : opened;
    } catch (error) {
      spark.refuse(refusalOf(error)); // there is no connection that would close it
      return fail(error);
    }
  }

  private adopt(spark: Spark, connection: Connection | undefined): void {
    if (!connection) return;
    spark.connection = connection;
    if (!spark.isOpen) this.destroyConnection(spark);
  }
}

/** 21 URL-safe characters, as in Primus. */
function randomId(): string {
  return randomBytes(16).toString("base64url").slice(0, 21);
}

// --- Pings all clients, and detects dead ones.

/** Pinging ten thousand at once would block the process for half a second. */
const SLICE = 500;

/**
 * Half an interval that takes this many times as long indicates a pause of this process, which may have left its clients
 * no time for a reply.
 */
const LATE = 1.5;

interface Round {
  text: string;
  frame: Buffer;
  /** No client is disconnected in a late round, after a pause of this process. */
  isLate: boolean;
}

export class Heartbeat {
  private lastTick = 0;
  private ticks = 0;
  private isLate = false;
  private timer: NodeJS.Timeout | undefined;

  /**
   * @param sparks all clients; read in each round
   * @param onDead called for a client that was pinged in the last round and has sent nothing since
   */
  constructor(
    private readonly sparks: ReadonlySet<Spark>,
    private readonly onDead: (spark: Spark) => void,
  ) {}

  /** @param intervalMs 0: no pings */
  start(intervalMs: number): void {
    this.stop();
    if (!(intervalMs > 0)) return;
    this.lastTick = performance.now();
    this.ticks = 0;
    this.isLate = false;
    const halfMs = timerMs(intervalMs / 2);
    this.timer = setInterval(() => this.tick(halfMs), halfMs).unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private tick(halfMs: number): void {
    const now = performance.now();
    this.isLate ||= now - this.lastTick > LATE * halfMs;
    this.lastTick = now;
    // received data is read between the timer and the immediate, so a message that only waited for this process
    // counts
    if (++this.ticks % 2 === 0) setImmediate(() => this.round());
  }

  private round(): void {
    if (!this.timer) return;
    const { isLate } = this;
    this.isLate = false;
    const text = pingText(Date.now());
    const frame = textFrame(text);
    this.ask([...this.sparks], 0, { text, frame, isLate });
  }

  private ask(sparks: Spark[], from: number, round: Round): void {
    const { text, frame, isLate } = round;
    const end = Math.min(from + SLICE, sparks.length);
    for (let i = from; i < end; i++) {
      const spark = sparks[i]!;
      const { bytesRead } = spark;
      if (spark.seenBytes === bytesRead && !spark.isBehind && !isLate) {
        this.onDead(spark);
        continue;
      }
      spark.seenBytes = bytesRead;
      if (spark.isCompressed) spark.writeText(text);
      else spark.writeFrame(frame);
    }
    if (end < sparks.length && this.timer)
      setImmediate(() => this.ask(sparks, end, round));
  }
}
