/** Takes jobs from queues and runs them, one at a time. */
import { EventEmitter } from "node:events";
import * as os from "node:os";
import { toError } from "../errors";
import { bounded } from "./bounded";
import type { Connection } from "./connection";
import { releaseHeldLock, takeHeldLock } from "./locks";
import { encode } from "./encode";
import { definitionOf, performJob, runBody } from "./perform";
import { runHooks } from "./pluginRunner";
import { Queue } from "./queue";
import type { Seat } from "./seat";
import { Session, type SessionOptions } from "./session";
import { runPlain, type Command } from "./steps/lua";
import { NO_OUTCOME, type Outcome } from "./steps/take";
import { setProgress } from "./tracking";
import type { ConnectionOptions, Jobs, ParsedJob } from "./types";

export interface WorkerOptions extends Omit<SessionOptions, "queues"> {
  connection: ConnectionOptions;
  /** `host:pid` unless given; another suffix is added while someone works under it. */
  name?: string;
  id?: number;
  /** In order of priority; `*` for all there are, by name (default `*`). */
  queues?: string | string[];
  /** How long `end()` waits for the running job before it is given back, in ms (default 10,000). */
  shutdownTimeout?: number;
  /** Workers of one process share it. */
  session?: Session;
}

const REPORT_MS = 1000;

/**
 * Events: start, end, poll (queue), pause, job (queue, job), success (queue, job, result, ms), failure (queue, job, error, ms),
 * reEnqueue (queue, job, info), fenced (queue, job), reaped (id, jobs), error (error, queue, job).
 */
export class Worker extends EventEmitter {
  options: WorkerOptions;
  jobs: Jobs;
  name: string;
  id: number;
  queue = "";
  originalQueue: string;
  queueObject: Queue;
  started = false;
  ready = false;
  running = false;
  working = false;
  error: Error | null = null;
  result: any = null;
  job: ParsedJob | null = null;
  /** The text of the running job. */
  raw = "";
  /** The running job ends as one that is tried again. */
  isRetried = false;
  /** The running job was not run but delayed. */
  isPutOff = false;

  private session: Session;
  private seat?: Seat;
  private loop?: Promise<void>;
  private body?: Promise<Outcome>;
  private aborter?: AbortController;
  private ending: Command[] = [];
  private ended?: Promise<void>;

  constructor(options: WorkerOptions, jobs: Jobs = {}) {
    super();
    this.options = options;
    this.name = options.name ?? `${os.hostname()}:${process.pid}`;
    this.id = options.id ?? 1;
    this.jobs = { ...jobs };
    this.queueObject = new Queue({ connection: options.connection }, this.jobs);
    this.queueObject.on("error", (error) => this.report(error));
    const queues = [options.queues ?? "*"].flat();
    this.session =
      options.session ?? new Session(this.connection, { ...options, queues });
    if (!options.session) {
      this.session.on("error", (error) => this.report(error));
      this.session.on("reaped", (...args) => this.emit("reaped", ...args));
      this.session.on("fenced", () => this.tellFenced());
    }
    this.originalQueue = this.session.any ? "*" : queues.join(",");
  }

  get connection(): Connection {
    return this.queueObject.connection;
  }

  get queues(): string[] {
    return this.session.queues;
  }

  /** Aborted when the job is to end: its `timeout` is over, its worker leaves, or it was given to another one. */
  get signal(): AbortSignal {
    this.aborter ??= new AbortController();
    return this.aborter.signal;
  }

  async connect(): Promise<void> {
    await this.queueObject.connect();
    await this.session.checkQueues();
    this.ready = true;
  }

  async start(): Promise<void> {
    if (this.started) return;
    this.started = true;
    this.running = true;
    this.ended = undefined;
    this.emit("start");
    const seat = await this.join();
    this.seat = seat;
    this.name = seat.member.name;
    seat.onIdle = () => {
      this.rest();
      this.tell("pause");
    };
    seat.onFenced = () => this.abort("the job was given to another worker");
    this.loop = this.work(seat);
  }

  /** Finish what runs, within `shutdownTimeout`, and leave; an unfinished job goes back to its queue. */
  end(): Promise<void> {
    this.ended ??= this.leave();
    return this.ended;
  }

  /** Run a job here and now, with its plugins, outside of any queue. */
  async performInline(func: string, args: any = []): Promise<any> {
    if (this.started)
      throw new Error(
        "Worker#performInline can not be used on a started worker",
      );
    const queue = `_direct-queue-${this.name}`;
    const list: any[] = Array.isArray(args) ? args : [args];
    const parsed = { class: func, queue, args: list };
    this.begin(queue, parsed, encode(queue, func, list));
    const job = definitionOf(this.jobs, parsed);
    try {
      if (!(await runHooks(this, "beforePerform", job, parsed)))
        return undefined;
      await runBody(this, job, parsed);
    } finally {
      await runPlain(this.connection, this.takeEnding());
    }
    if (this.error) throw this.error;
    return this.result as unknown;
  }

  /** Take a lock that is renewed while this worker lives and goes when it dies. */
  async takeLock(
    key: string,
    value: string,
    seconds: number,
  ): Promise<boolean> {
    const { seat, connection } = this;
    const lock = { key, value, seconds };
    try {
      if (!(await takeHeldLock(connection, lock, seat?.heldKey))) return false;
    } catch (error) {
      // a redis that did not answer in time may take the lock later; this is behind that in the connection's queue
      releaseHeldLock(connection, lock, seat?.heldKey).catch(() => undefined);
      throw error;
    }
    this.held.set(key, { value, seconds });
    return true;
  }

  async releaseLock(key: string): Promise<void> {
    const lock = this.held.get(key);
    if (!lock) return;
    this.held.delete(key);
    await releaseHeldLock(
      this.connection,
      { key, ...lock },
      this.seat?.heldKey,
    );
  }

  /** Redis commands that hold together with the report of the running job, and are left out with it. */
  onFinish(...commands: Command[]): void {
    this.ending.push(...commands);
  }

  /** The job was put off to be tried again: it counts as a failure, and ends like a success. */
  retryLater(
    commands: Command[],
    info: { delay: number; remainingAttempts: number; err: Error },
  ): void {
    this.onFinish(...commands);
    this.isRetried = true;
    this.tell("reEnqueue", this.queue, this.job, info);
    this.error = null;
  }

  /** The job was put off, e.g. because another one holds its lock. */
  putOff(commands: Command[]): void {
    this.onFinish(...commands);
    this.isPutOff = true;
  }

  /** Tell how far the running job is; read it with `Queue.job`. Without an id nothing is kept. */
  async progress(progress: unknown): Promise<void> {
    const id = this.job?.id;
    if (id) await setProgress(this.connection, id, progress);
  }

  /** For `perform.ts`: a job begins. */
  begin(queue: string, job: ParsedJob, raw: string): void {
    this.working = true;
    this.raw = raw;
    this.queue = queue;
    this.job = job;
    this.result = null;
    this.error = null;
    this.isRetried = false;
    this.isPutOff = false;
    this.aborter = undefined;
    this.ending = [];
  }

  /** For `perform.ts`: what is to happen with the report of the job. */
  takeEnding(): Command[] {
    const { ending, held, seat } = this;
    this.ending = [];
    if (held.size === 0) return ending;
    // of a plugin whose afterPerform did not run, e.g. because another one refused the job
    for (const [key, { value }] of held) {
      ending.push(["AH.UNLOCK", key, value]);
      if (seat) ending.push(["HDEL", seat.heldKey, key]);
    }
    held.clear();
    return ending;
  }

  abort(reason: string): void {
    if (!this.working) return;
    this.aborter ??= new AbortController();
    this.aborter.abort(new Error(reason));
  }

  /** Listeners look on; what they throw is theirs. */
  tell(event: string, ...args: unknown[]): void {
    try {
      this.emit(event, ...args);
    } catch (error) {
      this.report(toError(error));
    }
  }

  tellFenced(): void {
    this.tell("fenced", this.queue, this.job);
  }

  /** Whether the seat is this worker's. */
  has(seat: Seat): boolean {
    return this.seat === seat;
  }

  get member(): string {
    return `${this.name}:${this.originalQueue}`;
  }

  /** The registration under which the running job was taken. */
  get registration(): string {
    return this.seat?.takenIn ?? "";
  }

  private get held() {
    return this.seat?.held ?? this.ownHeld;
  }
  private readonly ownHeld: Seat["held"] = new Map();

  private async join(): Promise<Seat> {
    try {
      return await this.session.join(this.name, this.originalQueue);
    } catch (error) {
      this.started = false;
      this.running = false;
      throw error;
    }
  }

  private async work(seat: Seat): Promise<void> {
    let outcome = NO_OUTCOME;
    for (;;) {
      if (this.running && this.listenerCount("poll") > 0)
        for (const queue of this.queues) this.tell("poll", queue);
      const taken = await this.session.next(seat, outcome);
      if (!taken) return this.rest();
      this.body = performJob(this, taken.queue, taken.raw);
      outcome = await this.body;
      this.body = undefined;
    }
  }

  private rest(): void {
    this.working = false;
    this.job = null;
  }

  private async leave(): Promise<void> {
    this.running = false;
    const { seat, session } = this;
    if (seat) {
      session.dismiss(seat);
      const patience = this.options.shutdownTimeout ?? 10_000;
      await bounded(this.body, patience);
      if (this.body) this.abort("the worker ends");
      else await bounded(this.loop, REPORT_MS);
      const left = session.leave(seat).catch((error) => this.report(error));
      await bounded(left, REPORT_MS);
    }
    if (!this.options.session) await session.close();
    this.started = false;
    await this.queueObject.end();
    this.emit("end", new Date());
  }

  report(error: unknown): void {
    if (this.listenerCount("error") > 0)
      this.emit("error", error, this.queue, this.job);
  }
}
