/** Moves delayed jobs to their queues when they are due; one leader among all processes. */
import { EventEmitter } from "node:events";
import { toError } from "../errors";
import type { Connection } from "./connection";
import { forceCleanWorker, silentWorkers } from "./repair";
import { jobOf } from "./jobText";
import { type Environment, Outage, systemEnvironment } from "./machine";
import { waitAtMost } from "../utils/promises";
import { Queue } from "./queue";
import type { Promotion, QueueStore, Waiting } from "./store/store";
import { SkewWatch } from "../utils/clockSkew";
import type { ConnectionOptions, Jobs } from "./types";

export interface SchedulerOptions {
  connection: ConnectionOptions;
  name?: string;
  /** The longest wait between two polls, in ms (default 5000). */
  timeout?: number;
  /** Seconds until the leadership of a dead process expires (default 30; a leader renews it at each poll). */
  leaderLockTimeout?: number;
  /** A worker of another program that was silent this long is cleaned up, in ms (default 1 h). */
  stuckWorkerTimeout?: number;
  retryStuckJobs?: boolean;
  /** The machine that it runs on (default this one). */
  environment?: Environment;
}

/** How often the queues and the delayed jobs are polled, in ms, without wake-ups. */
export const POLL_MS = 5_000;
const LEADER_SECONDS = 30;
/** After this silence, a worker of another program is cleaned up, in ms. */
export const STUCK_MS = 3_600_000;
/** How many jobs one call moves at most. */
const BATCH = 500;
/** How long `end()` waits for the running poll, and for the end of the leadership, in ms. */
const END_MS = 450;

let schedulers = 0;

/**
 * Events: start, end, leader, poll, workingTimestamp (second), transferredJob (second, job), cleanStuckWorker (name, payload,
 * age in s), outage (error; the same comes as error), recovered (ms), skew (ms), error.
 */
export class Scheduler extends EventEmitter {
  options: SchedulerOptions;
  name: string;
  leader = false;
  running = false;
  processing = false;
  queue: Queue;
  private readonly environment: Environment;
  private readonly outage: Outage;
  private readonly skew: SkewWatch;
  private waiting?: Waiting;
  private loop?: Promise<void>;
  private nextCheck = 0;

  constructor(options: SchedulerOptions, jobs: Jobs = {}) {
    super();
    this.options = options;
    const environment = options.environment ?? systemEnvironment;
    this.environment = environment;
    // two schedulers of one process have different names
    const suffix = schedulers++ === 0 ? "" : `+${schedulers}`;
    const { hostname, pid } = environment;
    this.name = options.name ?? `${hostname}:${pid}${suffix}`;
    this.queue = new Queue({ connection: options.connection }, jobs);
    this.queue.on("error", (error) => this.report(error));
    this.outage = new Outage(environment, {
      began: (error) => {
        this.emit("outage", error);
        this.report(error);
      },
      ended: (ms) => this.emit("recovered", ms),
    });
    this.skew = new SkewWatch(environment, (ms) => this.emit("skew", ms));
  }

  get connection(): Connection {
    return this.queue.connection;
  }

  private get store(): QueueStore {
    return this.connection.store;
  }

  async connect(): Promise<void> {
    await this.queue.connect();
  }

  start(): Promise<void> {
    if (this.running) return Promise.resolve();
    this.running = true;
    this.emit("start");
    this.loop = this.work();
    return Promise.resolve();
  }

  async end(): Promise<void> {
    if (!this.running) return;
    this.running = false;
    this.waiting?.stop();
    await waitAtMost(END_MS, this.loop, this.environment);
    if (this.leader) await this.resign();
    await this.queue.end();
    this.emit("end");
  }

  /** A leadership that redis does not release now expires. */
  private async resign(): Promise<void> {
    this.leader = false;
    if (this.outage.isOpen) return;
    const resigned = this.store
      .resign(this.name)
      .catch((error) => this.report(error));
    await waitAtMost(END_MS, resigned, this.environment);
  }

  private async work(): Promise<void> {
    while (this.running) {
      let waitMs = this.options.timeout ?? POLL_MS;
      const mark = this.store.mark();
      this.processing = true;
      try {
        waitMs = Math.min(waitMs, await this.poll());
        this.outage.succeeded();
      } catch (error) {
        waitMs = Math.min(waitMs, this.outage.failed(toError(error)));
      }
      this.processing = false;
      if (!this.running) return;
      await this.sleep(waitMs, mark);
    }
  }

  /** @returns ms until the next poll */
  private async poll(): Promise<number> {
    const seconds = this.options.leaderLockTimeout ?? LEADER_SECONDS;
    const endsInMs = await this.store.lead(this.name, seconds * 1000);
    const isCheckDue = this.isCheckDue();
    if (isCheckDue) await this.checkClock();
    if (endsInMs > 0) {
      this.leader = false;
      return endsInMs + 1; // the leader renews it in time
    }
    if (!this.leader) {
      this.leader = true;
      this.emit("leader");
    }
    this.emit("poll");
    const { moved, nextInMs } = await this.store.promote(BATCH);
    this.showMoved(moved);
    if (moved.length > 0) return 0;
    if (isCheckDue) await this.cleanUp();
    return nextInMs === undefined ? Infinity : Math.max(1, nextInMs);
  }

  private showMoved(moved: Promotion["moved"]): void {
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

  private isCheckDue(): boolean {
    const now = this.environment.monotonic();
    if (now < this.nextCheck) return false;
    this.nextCheck = now + (this.options.timeout ?? POLL_MS);
    return true;
  }

  private async checkClock(): Promise<void> {
    const sentAt = this.environment.monotonic();
    this.skew.measured(await this.store.now(), sentAt);
  }

  /** Cleans up after dead workers. */
  private async cleanUp(): Promise<void> {
    const { queue, options } = this;
    await this.store.sweepSlots(limitsOf(queue.jobs));
    const ageMs = options.stuckWorkerTimeout ?? STUCK_MS;
    if (!ageMs) return;
    for (const { name, delta } of await silentWorkers(queue, ageMs)) {
      try {
        const payload = await forceCleanWorker(queue, name);
        this.emit("cleanStuckWorker", name, payload, delta);
      } catch (error) {
        this.report(error); // one that lives after all must not stop the rest
      }
    }
    if (options.retryStuckJobs === true) await queue.retryStuckJobs();
  }

  private async sleep(ms: number, mark: number): Promise<void> {
    if (ms <= 0) return;
    if (this.leader) {
      this.waiting = this.store.wait("scheduler", ms, mark);
      await this.waiting.done;
    } else {
      await new Promise<void>((resolve) => {
        const timer = this.environment.after(ms, resolve);
        this.waiting = {
          done: DONE,
          stop: () => {
            timer.cancel();
            resolve();
          },
        };
      });
    }
    this.waiting = undefined;
  }

  private report(error: unknown): void {
    if (this.listenerCount("error") > 0) this.emit("error", error);
  }
}

const DONE = Promise.resolve(false);

/** How many jobs of each class run at a time; null for a class without a limit. */
function limitsOf(jobs: Jobs): Record<string, number | null> {
  const limits: Record<string, number | null> = {};
  for (const name of Object.keys(jobs))
    limits[name] = jobOf(jobs, name)?.concurrency ?? null;
  return limits;
}
