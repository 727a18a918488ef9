/** The queue as producers and tools see it. */
import { randomUUID } from "node:crypto";
import { EventEmitter } from "node:events";
import { ActionheroError } from "../errors";
import { Connection } from "./connection";
import {
  cleanOldWorkers,
  forceCleanWorker,
  retryStuckJobs,
} from "./deadWorkers";
import * as delayed from "./delayed";
import { encode, jobOf } from "./encode";
import { removeFailed, retryFailed } from "./failed";
import { openArgs, withNotes } from "./notes";
import { runHooks } from "./pluginRunner";
import { delayJob, removeDelayed } from "./steps/delay";
import { enqueueJobs } from "./steps/enqueue";
import { jobInfo, track } from "./tracking";
import type {
  ConnectionOptions,
  ErrorPayload,
  JobInfo,
  Jobs,
  ParsedJob,
  WorkingOn,
} from "./types";
import { addUnique } from "./uniqueness";
import * as views from "./views";

export interface QueueOptions {
  connection: ConnectionOptions;
}

export class Queue extends EventEmitter {
  connection: Connection;
  jobs: Jobs;

  constructor(options: QueueOptions, jobs: Jobs = {}) {
    super();
    this.connection = new Connection(options.connection);
    this.connection.on("error", (error) => {
      if (this.listenerCount("error") > 0) this.emit("error", error);
    });
    this.jobs = jobs;
  }

  async connect(): Promise<void> {
    await this.connection.connect();
  }

  async end(): Promise<void> {
    await this.connection.end();
  }

  /** The text of a job; deleting and finding compare it byte by byte. */
  encode(queue: string, func: string, args: any = []): string {
    return encode(queue, func, Array.isArray(args) ? args : [args]);
  }

  /** @returns false when a plugin refused, or the job is `unique` and there */
  async enqueue(queue: string, func: string, args: any = []): Promise<boolean> {
    const list: any[] = Array.isArray(args) ? args : [args];
    const job = jobOf(this.jobs, func);
    const raw = encode(queue, func, list);
    if (!job?.plugins?.length && !job?.unique) {
      await enqueueJobs(this.connection, queue, [raw]);
      return true;
    }
    const parsed = { class: func, queue, args: openArgs(list).args };
    if (!(await runHooks(this, "beforeEnqueue", job, parsed))) return false;
    if (!job.unique) await enqueueJobs(this.connection, queue, [raw]);
    else if (!(await addUnique(this.connection, queue, func, raw)))
      return false;
    await runHooks(this, "afterEnqueue", job, parsed);
    return true;
  }

  /**
   * Enqueue a job that can be looked up with `job(id)`.
   * @param dueMs start it then, in ms since the epoch (default now)
   * @returns its id; undefined when a plugin refused, or the job is `unique` and there
   */
  async enqueueTracked(
    queue: string,
    func: string,
    args: any = [],
    dueMs?: number,
  ): Promise<string | undefined> {
    const id = randomUUID();
    const list = withNotes([args].flat(), { id });
    const job = { id, class: func, queue, args: list };
    await track(
      this.connection,
      job,
      dueMs === undefined ? "queued" : "delayed",
    );
    const isAdded =
      dueMs === undefined
        ? await this.enqueue(queue, func, list)
        : await this.enqueueAt(dueMs, queue, func, list);
    if (isAdded) return id;
    await this.connection.redis.del(this.connection.key("ah:job", id));
    return undefined;
  }

  /** What is known about a tracked job, for a day after its last change. */
  job(id: string): Promise<JobInfo | undefined> {
    return jobInfo(this.connection, id);
  }

  /** Many jobs of one class in few round trips, without hooks. */
  async enqueueMany(
    queue: string,
    func: string,
    argsOfJobs: any[][],
  ): Promise<void> {
    await enqueueJobs(
      this.connection,
      queue,
      argsOfJobs.map((args) => encode(queue, func, args)),
    );
  }

  /**
   * @returns undefined when it is there at that second and this is suppressed, or the job is `unique` and there
   * @throws Error when the same job is there at the same second, unless suppressed
   */
  async enqueueAt(
    timestampMs: number,
    queue: string,
    func: string,
    args: any = [],
    suppressDuplicateTaskError = false,
  ): Promise<true | undefined> {
    const raw = encode(queue, func, Array.isArray(args) ? args : [args]);
    const isAdded = jobOf(this.jobs, func)?.unique
      ? await addUnique(this.connection, queue, func, raw, timestampMs)
      : await delayJob(this.connection, timestampMs, raw);
    if (isAdded) return true;
    if (suppressDuplicateTaskError || jobOf(this.jobs, func)?.unique)
      return undefined;
    throw new ActionheroError(
      "AH_TASK",
      "Job already enqueued at this time with same arguments",
    );
  }

  enqueueIn(
    ms: number,
    queue: string,
    func: string,
    args: any = [],
    suppressDuplicateTaskError = false,
  ): Promise<true | undefined> {
    const due = Date.now() + parseInt(String(ms), 10);
    return this.enqueueAt(due, queue, func, args, suppressDuplicateTaskError);
  }

  async queues(): Promise<string[]> {
    return this.connection.redis.smembers(this.connection.key("queues"));
  }

  async delQueue(queue: string): Promise<void> {
    const { connection } = this;
    // one step: a job that is added meanwhile is not left in a queue that nobody knows
    const step = connection.redis
      .multi()
      .del(connection.key("queue", queue))
      .srem(connection.key("queues"), queue);
    for (const [error] of (await step.exec()) ?? []) if (error) throw error;
  }

  length(queue: string): Promise<number> {
    return this.connection.redis.llen(this.connection.key("queue", queue));
  }

  del(queue: string, func: string, args: any = [], count = 0): Promise<number> {
    const list: any[] = Array.isArray(args) ? args : [args];
    return this.connection.redis.lrem(
      this.connection.key("queue", queue),
      count,
      encode(queue, func, list),
    );
  }

  /** Remove all jobs of a class. */
  async delByFunction(
    queue: string,
    func: string,
    start = 0,
    stop = -1,
  ): Promise<number> {
    const key = this.connection.key("queue", queue);
    const found = (await this.connection.redis.lrange(key, start, stop)).filter(
      (raw) => parse(raw)?.class === func,
    );
    for (const raw of new Set(found))
      await this.connection.redis.lrem(key, 0, raw);
    return found.length;
  }

  /** @returns the seconds it was due at */
  delDelayed(queue: string, func: string, args: any = []): Promise<number[]> {
    const list: any[] = Array.isArray(args) ? args : [args];
    return removeDelayed(this.connection, encode(queue, func, list));
  }

  /** @returns the seconds it is due at */
  scheduledAt(queue: string, func: string, args: any = []): Promise<number[]> {
    const list: any[] = Array.isArray(args) ? args : [args];
    return delayed.scheduledAt(this.connection, encode(queue, func, list));
  }

  timestamps(): Promise<number[]> {
    return delayed.timestamps(this.connection);
  }

  delayedAt(
    timestampMs: number,
  ): Promise<{ tasks: ParsedJob[]; rTimestamp: number }> {
    return delayed.delayedAt(this.connection, timestampMs);
  }

  allDelayed(): Promise<{ [ms: string]: ParsedJob[] }> {
    return delayed.allDelayed(this.connection);
  }

  async queued(
    queue: string,
    start: number,
    stop: number,
  ): Promise<ParsedJob[]> {
    const raws = await this.connection.redis.lrange(
      this.connection.key("queue", queue),
      start,
      stop,
    );
    return raws.map((raw) => JSON.parse(raw) as ParsedJob);
  }

  locks(): Promise<{ [key: string]: string }> {
    return views.locks(this.connection);
  }

  delLock(key: string): Promise<number> {
    return this.connection.redis.del(this.connection.key(key));
  }

  workers(): Promise<{ [name: string]: string | null }> {
    return views.workers(this.connection);
  }

  workingOn(workerName: string, queues: string): Promise<string | null> {
    return this.connection.redis.get(
      this.connection.key("worker", workerName, queues),
    );
  }

  allWorkingOn(): Promise<{ [name: string]: "started" | WorkingOn }> {
    return views.allWorkingOn(this.connection);
  }

  failedCount(): Promise<number> {
    return this.connection.redis.llen(this.connection.key("failed"));
  }

  async failed(start: number, stop: number): Promise<ErrorPayload[]> {
    const raws = await this.connection.redis.lrange(
      this.connection.key("failed"),
      start,
      stop,
    );
    return raws.map((raw) => JSON.parse(raw) as ErrorPayload);
  }

  removeFailed(failedJob: ErrorPayload): Promise<number> {
    return removeFailed(this.connection, failedJob);
  }

  /**
   * Its attempts begin again.
   * @returns false when a plugin refused, or the job is `unique` and there; it stays in the list then
   * @throws Error when it is not in the list
   */
  retryAndRemoveFailed(failedJob: ErrorPayload): Promise<boolean> {
    return retryFailed(this, failedJob);
  }

  forceCleanWorker(workerName: string): Promise<ErrorPayload | undefined> {
    return forceCleanWorker(this, workerName);
  }

  cleanOldWorkers(ageMs: number): Promise<{ [name: string]: ErrorPayload }> {
    return cleanOldWorkers(this, ageMs);
  }

  retryStuckJobs(upperLimit = Infinity): Promise<void> {
    return retryStuckJobs(this, upperLimit);
  }

  stats(): Promise<{ [key: string]: string }> {
    return views.stats(this.connection);
  }

  leaderKey(): string {
    return this.connection.key("resque_scheduler_leader_lock");
  }

  leader(): Promise<string | null> {
    return this.connection.redis.get(this.leaderKey());
  }
}

function parse(raw: string): ParsedJob | undefined {
  try {
    return JSON.parse(raw) as ParsedJob;
  } catch {
    return undefined;
  }
}
