/** Takes jobs from queues and runs them, one at a time. */
import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import * as os from "node:os";
import { toError } from "../errors";
import { bounded } from "./bounded";
import type { Connection } from "./connection";
import { releaseLock, renewLock } from "./locks";
import { definitionOf, performJob, runBody } from "./perform";
import { runHooks } from "./pluginRunner";
import { Queue } from "./queue";
import { holdLease, reap, withoutConnection } from "./steps/lease";
import { finishAndTake, type Outcome, type TakeReply } from "./steps/take";
import type { ConnectionOptions, Jobs, ParsedJob } from "./types";
import { WakeUps } from "./wakeUps";

export interface WorkerOptions {
  connection: ConnectionOptions;
  name?: string;
  id?: number;
  queues?: string | string[];
  /** The longest sleep between two looks at the queues, in ms (default 5000). */
  timeout?: number;
  /** A worker without a sign for this long is dead, in ms (default 30,000). */
  heartbeatTimeout?: number;
  /** A worker that is connected but silent is taken for dead after this, in ms (default 1 h). */
  stuckWorkerTimeout?: number;
  /** How long `end()` waits for the running job before it is given back, in ms (default 10,000). */
  shutdownTimeout?: number;
  wakeUps?: WakeUps;
}

const IDLE_POLL_MS = 1000;
const RETRY_MS = 100;

export class Worker extends EventEmitter {
  options: WorkerOptions;
  jobs: Jobs;
  name: string;
  id: number;
  queues: string[];
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

  private readonly any: boolean;
  private token = "";
  private call = 0;
  private wakeUps?: WakeUps;
  private stopWaiting?: () => void;
  private loop?: Promise<void>;
  private heart?: NodeJS.Timeout;
  private readonly held = new Map<string, { value: string; seconds: number }>();

  constructor(options: WorkerOptions, jobs: Jobs = {}) {
    super();
    this.options = options;
    this.name = options.name ?? `${os.hostname()}:${process.pid}`;
    this.id = options.id ?? 1;
    const queues = [options.queues ?? "*"].flat();
    this.any = queues.length === 0 || queues.includes("*");
    this.originalQueue = this.any ? "*" : queues.join(",");
    this.queues = this.any ? [] : queues;
    this.jobs = { ...jobs };
    this.queueObject = new Queue({ connection: options.connection }, this.jobs);
    this.queueObject.on("error", (error) => this.report(error));
  }

  get connection(): Connection {
    return this.queueObject.connection;
  }

  async connect(): Promise<void> {
    await this.queueObject.connect();
    await this.checkQueues();
    this.ready = true;
  }

  async start(): Promise<void> {
    if (this.started) return;
    this.started = true;
    this.running = true;
    this.emit("start");
    await this.register();
    this.wakeUps = this.options.wakeUps ?? new WakeUps(this.connection);
    this.heart = setInterval(
      () => {
        this.beat().catch((error) => this.report(error));
      },
      Math.max(this.ttlMs / 3, 10),
    );
    this.heart.unref();
    this.loop = this.work();
  }

  /** Finish what runs, within `shutdownTimeout`, and leave; an unfinished job goes back to its queue. */
  async end(): Promise<void> {
    this.running = false;
    this.stopWaiting?.();
    if (this.started) {
      await bounded(this.loop, this.options.shutdownTimeout ?? 10_000);
      clearInterval(this.heart);
      const { member, token } = this;
      this.token = ""; // whatever the job still reports is refused
      await bounded(
        reap(this.connection, member, { token }).catch((error) =>
          this.report(error),
        ),
        2000,
      );
      if (!this.options.wakeUps) this.wakeUps?.close();
    }
    this.started = false;
    await this.queueObject.end();
    this.emit("end", new Date());
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
    this.result = null;
    this.error = null;
    this.queue = queue;
    this.job = parsed;
    const job = definitionOf(this.jobs, parsed);
    if (!(await runHooks(this, "beforePerform", job, parsed))) return undefined;
    await runBody(this, job, parsed);
    if (this.error) throw this.error as Error;
    return this.result as unknown;
  }

  /** Keep a lock alive while this worker is; it goes when the worker dies. */
  async holdLock(key: string, value: string, seconds: number): Promise<void> {
    this.held.set(key, { value, seconds });
    if (this.started)
      await this.connection.redis.hset(
        this.connection.key("ah:held", this.member),
        key,
        value,
      );
  }

  async releaseLock(key: string): Promise<void> {
    const lock = this.held.get(key);
    if (!lock) return;
    this.held.delete(key);
    await releaseLock(this.connection, key, lock.value);
    if (this.started)
      await this.connection.redis.hdel(
        this.connection.key("ah:held", this.member),
        key,
      );
  }

  /** A failure that will be tried again counts as one, although the job ends as done. */
  async countRetry(info: {
    delay: number;
    remainingAttempts: number;
    err: Error;
  }): Promise<void> {
    const { redis } = this.connection;
    const key = this.connection.key.bind(this.connection);
    this.emit("reEnqueue", this.queue, this.job, info);
    await redis.decr(key("stat:processed"));
    await redis.decr(key("stat:processed", this.name));
    await redis.incr(key("stat:failed"));
    await redis.incr(key("stat:failed", this.name));
    this.error = null;
  }

  private get member(): string {
    return `${this.name}:${this.originalQueue}`;
  }

  private get ttlMs(): number {
    return this.options.heartbeatTimeout ?? 30_000;
  }

  private lease() {
    return {
      name: this.name,
      member: this.member,
      queues: this.originalQueue,
      token: this.token,
      ttlMs: this.ttlMs,
    };
  }

  private async register(): Promise<void> {
    // a process of the same name may have died at a job a moment ago
    await this.reapSameName();
    this.token = randomBytes(8).toString("hex");
    this.call = 0;
    await holdLease(this.connection, this.lease(), true);
  }

  private async reapSameName(): Promise<void> {
    if (this.connection.embedded) return;
    const token = await this.connection.redis.hget(
      this.connection.key("ah:owner", this.member),
      "token",
    );
    if (token) await reap(this.connection, this.member, { token });
  }

  /** Renew the lease and look for workers that lost theirs. */
  private async beat(): Promise<void> {
    const over = await holdLease(this.connection, this.lease(), false);
    if (!over) return; // the next report is told so
    for (const [key, { value, seconds }] of this.held)
      await renewLock(this.connection, key, value, seconds);
    const others = over.filter((member) => member !== this.member);
    // who was cut off itself cannot tell who else was
    const isSure = Date.now() - this.connection.readySince >= this.ttlMs;
    if (others.length === 0 || !isSure) return;

    const gone = await withoutConnection(this.connection, others);
    const silentMs = this.options.stuckWorkerTimeout ?? 3_600_000;
    for (const member of others) {
      const graceMs = gone.includes(member) ? 0 : silentMs;
      const reaped = await reap(this.connection, member, { graceMs });
      if (reaped.what !== "alive") this.emit("reaped", member, reaped);
    }
  }

  private async work(): Promise<void> {
    let outcome: Outcome = { kind: "none" };
    let turns = 0;
    for (;;) {
      const reply = await this.settle(outcome);
      outcome = { kind: "none" };
      this.working = false;
      this.job = null;
      if (reply === "fenced") {
        if (!this.running) return;
        this.emit("fenced");
        await this.register().catch((error) => this.report(error));
        continue;
      }
      if (reply) {
        outcome = await performJob(this, reply.queue, reply.raw);
        // the embedded engine answers without a pause for anything else
        if (this.connection.embedded && ++turns % 16 === 0) await nextTurn();
        continue;
      }
      if (!this.running) return;
      await this.idle();
    }
  }

  /** Report and take, until redis answers; a repeated call changes nothing. */
  private async settle(outcome: Outcome): Promise<TakeReply> {
    this.call++;
    for (;;) {
      try {
        if (this.token === "") return "fenced";
        if (this.listenerCount("poll") > 0 && this.running)
          for (const queue of this.queues) this.emit("poll", queue);
        return await finishAndTake(this.connection, {
          name: this.name,
          member: this.member,
          token: this.token,
          call: this.call,
          outcome,
          want: this.running,
          queues: this.queues,
          any: this.any,
        });
      } catch (error) {
        this.report(toError(error));
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  private async idle(): Promise<void> {
    this.emit("pause");
    const wakeKeys = this.queues.map((queue) =>
      this.connection.key("ah:wake", queue),
    );
    if (this.any) wakeKeys.push(this.connection.key("ah:wake-any"));
    const timeout = Math.min(this.options.timeout ?? 5000, IDLE_POLL_MS);
    const { done, stop } = this.wakeUps!.wait(wakeKeys, timeout);
    this.stopWaiting = stop;
    if (!this.running) stop();
    await done;
    await this.checkQueues().catch((error) => this.report(error));
  }

  /** Which queues there are, for a worker on all of them. */
  private async checkQueues(): Promise<void> {
    if (this.any) this.queues = (await this.queueObject.queues()).sort();
  }

  /** Listeners look on; what they throw is theirs. */
  tell(event: string, ...args: unknown[]): void {
    try {
      this.emit(event, ...args);
    } catch (error) {
      this.report(toError(error));
    }
  }

  private report(error: unknown): void {
    if (this.listenerCount("error") > 0)
      this.emit("error", error, this.queue, this.job);
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
