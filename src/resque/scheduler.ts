/** Moves delayed jobs to their queues when they are due; one leader among all processes. */
import { EventEmitter } from "node:events";
import * as os from "node:os";
import { defineScript, runScript } from "../redis/script";
import { toError } from "../errors";
import { bounded } from "./bounded";
import type { Connection } from "./connection";
import { forceCleanWorker, silentWorkers } from "./deadWorkers";
import { releaseHeldLock } from "./locks";
import { Queue } from "./queue";
import { promoteJobs } from "./steps/delay";
import { sweepPlaces } from "./steps/limit";
import type { ConnectionOptions, Jobs } from "./types";
import { WakeUps } from "./wakeUps";

export interface SchedulerOptions {
  connection: ConnectionOptions;
  name?: string;
  /** The longest sleep between two looks, in ms (default 5000). */
  timeout?: number;
  /** Seconds until the leadership of a dead process is over (default 30; a leader renews it at each poll). */
  leaderLockTimeout?: number;
  /** A worker of another kind that was silent this long is cleaned up, in ms (default 1 h). */
  stuckWorkerTimeout?: number;
  retryStuckJobs?: boolean;
}

let schedulers = 0;

// KEYS: leader lock. ARGV: name, seconds. Returns 1 for the leader. One step: the lock may change hands after a GET.
const LEAD = defineScript(`
if redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2], 'NX') then return 1 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
`);

export class Scheduler extends EventEmitter {
  options: SchedulerOptions;
  name: string;
  leader = false;
  running = false;
  processing = false;
  queue: Queue;
  private wakeUps?: WakeUps;
  private stopWaiting?: () => void;
  private loop?: Promise<void>;
  private nextCheck = 0;

  constructor(options: SchedulerOptions, jobs: Jobs = {}) {
    super();
    this.options = options;
    // two schedulers of one process are two
    const suffix = schedulers++ === 0 ? "" : `+${schedulers}`;
    this.name = options.name ?? `${os.hostname()}:${process.pid}${suffix}`;
    this.queue = new Queue({ connection: options.connection }, jobs);
    this.queue.on("error", (error) => this.report(error));
  }

  get connection(): Connection {
    return this.queue.connection;
  }

  async connect(): Promise<void> {
    await this.queue.connect();
  }

  start(): Promise<void> {
    if (this.running) return Promise.resolve();
    this.running = true;
    this.wakeUps = new WakeUps(this.connection);
    this.emit("start");
    this.loop = this.work();
    return Promise.resolve();
  }

  async end(): Promise<void> {
    if (!this.running) return;
    this.running = false;
    this.stopWaiting?.();
    await bounded(this.loop, 2000);
    this.wakeUps?.close();
    if (this.leader) {
      this.leader = false;
      const left = releaseHeldLock(this.connection, {
        key: this.queue.leaderKey(),
        value: this.name,
      });
      await bounded(
        left.catch((error) => this.report(error)),
        1000,
      );
    }
    await this.queue.end();
    this.emit("end");
  }

  private async work(): Promise<void> {
    while (this.running) {
      let sleepMs = this.options.timeout ?? 5000;
      this.processing = true;
      try {
        sleepMs = Math.min(sleepMs, await this.poll());
      } catch (error) {
        this.report(toError(error));
        sleepMs = Math.min(sleepMs, 500);
      }
      this.processing = false;
      if (!this.running) return;
      await this.sleep(sleepMs);
    }
  }

  /** @returns ms until the next look */
  private async poll(): Promise<number> {
    this.wakeUps!.look();
    if (!(await this.tryForLeader())) {
      this.leader = false;
      return Infinity;
    }
    if (!this.leader) {
      this.leader = true;
      this.emit("leader");
    }
    this.emit("poll");
    const now = Date.now();
    const { nextMs, moved } = await promoteJobs(this.connection, now);
    this.tellMoved(moved);
    if (moved.length > 0) return 0;
    await this.checkStuckWorkers(performance.now());
    // at least a moment: jobs in long buckets wait for their whole second
    return nextMs === undefined ? Infinity : Math.max(1, nextMs - Date.now());
  }

  private tellMoved(moved: { second: string; raw: string }[]): void {
    let last = "";
    for (const { second, raw } of moved) {
      if (second !== last) this.emit("workingTimestamp", second);
      last = second;
      if (this.listenerCount("transferredJob") === 0) continue;
      try {
        this.emit("transferredJob", second, JSON.parse(raw));
      } catch (error) {
        this.report(toError(error));
      }
    }
  }

  private async tryForLeader(): Promise<boolean> {
    const { redis, embedded } = this.connection;
    const key = this.queue.leaderKey();
    const seconds = this.options.leaderLockTimeout ?? 30;
    if (!embedded)
      return (await runScript(redis, LEAD, [key], [this.name, seconds])) === 1;
    if ((await redis.set(key, this.name, "EX", seconds, "NX")) === "OK")
      return true;
    if ((await redis.get(key)) !== this.name) return false;
    await redis.expire(key, seconds);
    return true;
  }

  private async checkStuckWorkers(now: number): Promise<void> {
    if (now < this.nextCheck) return;
    this.nextCheck = now + (this.options.timeout ?? 5000);
    await sweepPlaces(this.connection);
    const ageMs = this.options.stuckWorkerTimeout ?? 3_600_000;
    if (!ageMs) return;
    for (const { name, delta } of await silentWorkers(this.queue, ageMs)) {
      const payload = await forceCleanWorker(this.queue, name);
      this.emit("cleanStuckWorker", name, payload, delta);
    }
    if (this.options.retryStuckJobs === true) await this.queue.retryStuckJobs();
  }

  private async sleep(ms: number): Promise<void> {
    if (ms <= 0) return;
    const keys = this.leader ? [this.connection.key("ah:wake-scheduler")] : [];
    const { done, stop } = this.wakeUps!.wait(keys, ms);
    this.stopWaiting = stop;
    await done;
  }

  private report(error: unknown): void {
    if (this.listenerCount("error") > 0) this.emit("error", error);
  }
}
