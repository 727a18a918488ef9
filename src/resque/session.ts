/** The registration of one process at the queue: its lease, its workers, and the one call with which they report and take. */
import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import * as os from "node:os";
import { toError } from "../errors";
import { bounded } from "./bounded";
import type { Connection } from "./connection";
import { renewLock } from "./locks";
import { Seat } from "./seat";
import {
  endProcess,
  holdLease,
  joinProcess,
  leaveProcess,
  ping,
  reap,
  type GivenBack,
} from "./steps/lease";
import { NO_OUTCOME, type Outcome, type Taken } from "./steps/take";
import { Taker } from "./taker";
import { withoutConnection } from "./views";

export interface SessionOptions {
  queues: readonly string[];
  /** The longest sleep between two looks at the queues, in ms (default 5000). */
  timeout?: number;
  /** A process without a sign for this long is dead, in ms (default 30,000). */
  heartbeatTimeout?: number;
  /** A process that is connected but silent is taken for dead after this, in ms (default 1 h). */
  stuckWorkerTimeout?: number;
  /** For workers on all queues: queues of a higher priority come first (default 0, then by name). */
  priorities?: Readonly<Record<string, number>>;
  /** Queues named `<queue>:node:<id>` are for one node alone: the id of this one, for workers on all queues. */
  node?: string;
}

const NODE_QUEUE = /:node:(.+)$/;

const CLOSE_MS = 1000;
const NAME_TRIES = 5;

/**
 * Events: `error` (error), `fenced` (seat whose report was refused), `reaped` (id, what became of its jobs),
 * `silent` (id of a process that is connected but gives no sign).
 */
export class Session extends EventEmitter {
  /** Names the registration; a new one after each fencing. */
  id = "";
  queues: string[];
  readonly any: boolean;
  private readonly seats = new Set<Seat>();
  private readonly taker: Taker;
  /** All workers are registered under the present id. */
  isSeated = false;
  private seating?: Promise<void>;
  private heart?: NodeJS.Timeout;
  private beating = false;
  private closed = false;

  constructor(
    readonly connection: Connection,
    readonly options: SessionOptions,
  ) {
    super();
    this.any = options.queues.length === 0 || options.queues.includes("*");
    this.queues = this.any ? [] : [...options.queues];
    this.taker = new Taker(this);
  }

  /** How many workers have a seat, busy or not. */
  get size(): number {
    return this.seats.size;
  }

  get processKey(): string {
    return this.connection.key("ah:proc", this.id);
  }

  /** Which queues there are, for workers on all of them. */
  async checkQueues(): Promise<void> {
    if (!this.any) return;
    const { redis } = this.connection;
    const { priorities = {}, node } = this.options;
    const rank = (queue: string) =>
      Object.hasOwn(priorities, queue) ? priorities[queue]! : 0;
    const known = await redis.smembers(this.connection.key("queues"));
    const found = known.sort().filter((queue) => {
      const owner = NODE_QUEUE.exec(queue)?.[1];
      return owner === undefined || owner === node;
    });
    this.queues = found.sort((a, b) => rank(b) - rank(a));
  }

  /** Register a worker; it gets another name when someone works under this one. */
  async join(name: string, queues: string): Promise<Seat> {
    const seat = new Seat(this.connection, name, queues);
    this.seats.add(seat);
    this.isSeated = false;
    try {
      await this.ensureSeats();
      await ping(this.connection, [seat.member], this.ttlMs);
    } catch (error) {
      this.seats.delete(seat);
      throw error;
    }
    return seat;
  }

  /** Report the last job of a worker and wait for its next one; undefined when it is leaving. */
  async next(seat: Seat, outcome: Outcome): Promise<Taken | undefined> {
    if (seat.isGone) {
      if (outcome !== NO_OUTCOME) this.emit("fenced", seat);
      return undefined;
    }
    const taken = await this.taker.next(seat, outcome);
    return seat.isGone ? undefined : taken; // given back meanwhile
  }

  /** Take no more jobs for this worker; one that waits gets none. */
  dismiss(seat: Seat): void {
    seat.isLeaving = true;
    this.taker.dismiss(seat);
  }

  /** End a worker's registration; the job that it still runs goes back to its queue. */
  async leave(seat: Seat): Promise<GivenBack | undefined> {
    seat.isLeaving = true;
    seat.isGone = true;
    this.seats.delete(seat);
    if (seat.registration !== this.id) return undefined;
    return leaveProcess(this.connection, this.id, seat.member);
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.heart);
    this.taker.close();
    if (this.id === "") return;
    const ended = endProcess(this.connection, this.id);
    await bounded(
      ended.catch((error) => this.report(error)),
      CLOSE_MS,
    );
  }

  /** The registration `lostId` was taken from us, and all jobs given back: go on under a new one. */
  refence(lostId: string): Promise<void> {
    if (lostId === this.id) {
      this.id = "";
      this.isSeated = false;
      for (const seat of this.seats) seat.onFenced?.();
    }
    return this.ensureSeats();
  }

  /** Register what is not registered yet. */
  ensureSeats(): Promise<void> {
    this.seating ??= this.seatAll().finally(() => {
      this.seating = undefined;
    });
    return this.seating;
  }

  report(error: unknown): void {
    if (this.listenerCount("error") > 0) this.emit("error", toError(error));
  }

  private get ttlMs(): number {
    return this.options.heartbeatTimeout ?? 30_000;
  }

  private async register(): Promise<void> {
    const id = `${os.hostname()}:${process.pid}:${randomBytes(6).toString("hex")}`;
    await holdLease(this.connection, id, this.ttlMs, true);
    this.id = id;
    this.taker.restart();
    if (this.heart || this.closed) return;
    const beat = () => {
      this.beat().catch((error) => this.report(error));
    };
    this.heart = setInterval(beat, Math.max(this.ttlMs / 3, 10));
    this.heart.unref();
  }

  private async seatAll(): Promise<void> {
    while (!this.isSeated) {
      if (this.id === "") await this.register();
      this.isSeated = true; // unless someone joins meanwhile
      for (const seat of [...this.seats]) {
        if (seat.registration === this.id) continue;
        try {
          await this.seatDown(seat, seat.member.name);
        } catch (error) {
          this.isSeated = false;
          throw error;
        }
      }
    }
  }

  private async seatDown(seat: Seat, wanted: string): Promise<void> {
    for (let i = 0; i < NAME_TRIES; i++) {
      seat.rename(i === 0 ? wanted : otherName(wanted));
      const result = await joinProcess(this.connection, this.id, seat.member);
      if (result === "taken") continue;
      if (result === "fenced") {
        this.id = "";
        throw new Error("the registration was lost");
      }
      seat.registration = this.id;
      return;
    }
    throw new Error(`no free name for a worker like ${wanted}`);
  }

  /** Renew the lease, and look for processes that lost theirs. */
  private async beat(): Promise<void> {
    if (this.beating || this.closed) return;
    this.beating = true;
    try {
      const { id } = this;
      const over = await holdLease(this.connection, id, this.ttlMs, false);
      if (!over) return await this.refence(id);
      const seats = [...this.seats];
      await ping(
        this.connection,
        seats.map(({ member }) => member),
        this.ttlMs,
      );
      for (const seat of seats)
        for (const [key, { value, seconds }] of seat.held)
          await renewLock(this.connection, key, value, seconds);
      await this.reapOthers(over.filter((other) => other !== id));
    } finally {
      this.beating = false;
    }
  }

  private async reapOthers(ids: string[]): Promise<void> {
    // who was cut off itself cannot tell who else was
    const isSure = performance.now() - this.connection.readySince >= this.ttlMs;
    if (ids.length === 0 || !isSure) return;
    const gone = await withoutConnection(this.connection, ids);
    for (const id of ids) {
      const graceMs = gone.includes(id)
        ? 0
        : (this.options.stuckWorkerTimeout ?? 3_600_000);
      const result = await reap(this.connection, id, graceMs);
      if (result) this.emit("reaped", id, result);
      else if (graceMs > 0) this.emit("silent", id);
    }
  }
}

/** Names are `host:pid+n`, which tools take apart. */
function otherName(name: string): string {
  const at = name.lastIndexOf("+");
  const suffix = `-${randomBytes(3).toString("hex")}`;
  if (at === -1) return name + suffix;
  return name.slice(0, at) + suffix + name.slice(at);
}
