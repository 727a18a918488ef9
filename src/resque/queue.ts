/** The queue, for producers and tools. */
import { randomUUID } from "node:crypto";
import { EventEmitter } from "node:events";
import { ActionheroError } from "../errors";
import { Connection } from "./connection";
import * as inspect from "./inspect";
import * as repair from "./repair";
import {
  encode,
  type JobContext,
  jobOf,
  openArgs,
  uniqueLock,
  withContext,
  withMetadata,
} from "./jobText";
import { runHooks } from "./plugin";
import type {
  Due,
  EnqueueOptions,
  Orphan,
  QueueLength,
  QueueStore,
  Returned,
} from "./store/store";
import type {
  ConnectionOptions,
  ErrorPayload,
  JobInfo,
  Jobs,
  ParsedJob,
  WorkerActivity,
} from "./types";
import { withFields } from "../utils/objects";

export interface QueueOptions {
  connection: ConnectionOptions;
  /** The context that a new job of a class carries, if any (default: none). A tracked job has its own. */
  carry?: (func: string) => JobContext | undefined;
}

export interface TrackedOptions {
  /** When to start it, in ms since the epoch or as a Date (default now). */
  at?: number | string | Date;
  /** The delay before it starts, in ms. */
  in?: number | string;
  /** A second call with the same key, until a day after the job is due, adds nothing, and returns the id of the first job. */
  idempotencyKey?: string;
  /** The id of the request that enqueues it, the job's `requestId`. */
  requestId?: string;
  /** The span that enqueues it. */
  traceparent?: string;
}

export class Queue extends EventEmitter {
  connection: Connection;
  jobs: Jobs;
  private readonly carry: QueueOptions["carry"];

  constructor(options: QueueOptions, jobs: Jobs = {}) {
    super();
    this.carry = options.carry;
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
    return encode(queue, func, listOf(args));
  }

  /**
   * @param node the queue belongs to this node: no other node fetches the job
   * @returns false when a plugin refused, or the job is `unique` and exists
   */
  async enqueue(
    queue: string,
    func: string,
    args: any = [],
    node?: string,
  ): Promise<boolean> {
    return (await this.add(queue, func, listOf(args), ownedBy(node))) === true;
  }

  /**
   * Enqueue a trackable job, see `job(id)`.
   * @returns its id; undefined when the job is `unique` and exists, or a plugin refused it (only asked for jobs that run at
   * once)
   */
  async enqueueTracked(
    queue: string,
    func: string,
    args: any = [],
    options: TrackedOptions = {},
  ): Promise<string | undefined> {
    const id = randomUUID();
    const { idempotencyKey, requestId: request, traceparent } = options;
    const metadata = { id, request, trace: traceparent };
    const list = withMetadata([args].flat(), metadata);
    const due = dueOf(options);
    const tracking = { track: { id, class: func }, idempotencyKey };
    const added =
      due === undefined
        ? await this.add(queue, func, list, tracking)
        : await this.addLater(queue, func, list, due, tracking);
    if (added === "duplicate") throw alreadyThere();
    if (added === true) return id;
    return added || undefined;
  }

  /** The facts about a tracked job, which are kept for a day after its last change. */
  job(id: string): Promise<JobInfo | undefined> {
    return this.store.jobInfo(id);
  }

  /** Many jobs of one class in few round trips, without hooks. */
  async enqueueMany(
    queue: string,
    func: string,
    argsOfJobs: any[][],
    node?: string,
  ): Promise<void> {
    const context = this.carry?.(func);
    const raws = argsOfJobs.map((args) => jobText(queue, func, args, context));
    if (raws.length > 0) await this.store.enqueue(queue, raws, ownedBy(node));
  }

  /**
   * @param timestamp ms since the epoch, text that begins with a number, or a Date; one in the past is due at once
   * @returns undefined when it exists in that second and this is suppressed, or the job is `unique` and exists
   * @throws Error when the same job exists in the same second, unless suppressed; ActionheroError AH_TASK for an
   * invalid time
   */
  async enqueueAt(
    timestamp: number | string | Date,
    queue: string,
    func: string,
    args: any = [],
    suppressDuplicateTaskError = false,
    node?: string,
  ): Promise<true | undefined> {
    const atMs = inspect.wholeMs(timestamp, "the time of a job");
    return isAdded(
      await this.addLater(queue, func, listOf(args), { atMs }, ownedBy(node)),
      suppressDuplicateTaskError,
    );
  }

  /**
   * As `enqueueAt`, `ms` from now by the clock of the store.
   * @param ms a number, or text that begins with one; a negative one means now
   * @throws as `enqueueAt`, and for a Date
   */
  async enqueueIn(
    ms: number | string,
    queue: string,
    func: string,
    args: any = [],
    suppressDuplicateTaskError = false,
    node?: string,
  ): Promise<true | undefined> {
    const inMs = inspect.waitMs(ms);
    return isAdded(
      await this.addLater(queue, func, listOf(args), { inMs }, ownedBy(node)),
      suppressDuplicateTaskError,
    );
  }

  /** Stop all processes from fetching jobs of the queue; producers are not affected. */
  pause(queue: string): Promise<void> {
    return this.store.pause(queue);
  }

  resume(queue: string): Promise<void> {
    return this.store.resume(queue);
  }

  pausedQueues(): Promise<string[]> {
    return this.store.pausedQueues();
  }

  /** Registered workers whose process no longer exists; other processes repair them within two leases. */
  orphans(): Promise<Orphan[]> {
    return this.store.findOrphans();
  }

  /** Requeue the jobs of orphans now. */
  repairOrphans(): Promise<Returned[]> {
    return this.store.repairOrphans();
  }

  async queues(): Promise<string[]> {
    return this.store.queues();
  }

  delQueue(queue: string): Promise<void> {
    return this.store.removeQueue(queue);
  }

  /** The number of jobs in the queue, including jobs waiting for a concurrency slot. */
  async length(queue: string): Promise<number> {
    const { queued, waiting } = (await this.lengths([queue]))[queue]!;
    return queued + waiting;
  }

  lengths(queues: readonly string[]): Promise<Record<string, QueueLength>> {
    return this.store.lengths(queues);
  }

  del(queue: string, func: string, args: any = [], count = 0): Promise<number> {
    return this.store.removeJobs(
      queue,
      [encode(queue, func, listOf(args))],
      count,
    );
  }

  /** Remove all jobs of a class. */
  async delByFunction(
    queue: string,
    func: string,
    start = 0,
    stop = -1,
  ): Promise<number> {
    const raws = await this.store.jobs(queue, start, stop);
    const found = raws.filter((raw) => inspect.readJob(raw).class === func);
    await this.store.removeJobs(queue, found);
    return found.length;
  }

  /** @returns the seconds it was due at */
  delDelayed(queue: string, func: string, args: any = []): Promise<number[]> {
    return this.store.removeDelayed(encode(queue, func, listOf(args)));
  }

  /** @returns the seconds it is due at */
  scheduledAt(queue: string, func: string, args: any = []): Promise<number[]> {
    return this.store.scheduledAt(encode(queue, func, listOf(args)));
  }

  timestamps(): Promise<number[]> {
    return inspect.timestamps(this.store);
  }

  delayedAt(
    timestampMs: number,
  ): Promise<{ tasks: ParsedJob[]; rTimestamp: number }> {
    return inspect.delayedAt(this.store, timestampMs);
  }

  allDelayed(): Promise<{ [ms: string]: ParsedJob[] }> {
    return inspect.allDelayed(this.store);
  }

  /** Jobs from `start` to `stop`; jobs that wait for a concurrency slot follow the last one of the queue. */
  async queued(
    queue: string,
    start: number,
    stop: number,
  ): Promise<ParsedJob[]> {
    const raws = await this.store.jobs(queue, start, stop);
    return raws.map((raw) => inspect.readJob(raw, queue));
  }

  locks(): Promise<{ [key: string]: string }> {
    return this.store.locks();
  }

  delLock(key: string): Promise<number> {
    return this.store.removeLock(this.connection.key(key));
  }

  workers(): Promise<{ [name: string]: string | null }> {
    return inspect.workers(this.store);
  }

  async workingOn(workerName: string, queues: string): Promise<string | null> {
    const member = `${workerName}:${queues}`;
    return (await this.store.records([member]))[0]!.record;
  }

  allWorkingOn(): Promise<{ [name: string]: WorkerActivity }> {
    return inspect.allWorkingOn(this.store);
  }

  failedCount(): Promise<number> {
    return this.store.failedCount();
  }

  async failed(start: number, stop: number): Promise<ErrorPayload[]> {
    return (await this.store.failed(start, stop)).map(inspect.readFailed);
  }

  removeFailed(failedJob: ErrorPayload): Promise<number> {
    return repair.removeFailed(this.store, failedJob);
  }

  /**
   * Its attempts begin again.
   * @returns false when a plugin refused, or the job is `unique` and exists; then it remains in the list
   * @throws Error when it is not in the list
   */
  retryAndRemoveFailed(failedJob: ErrorPayload): Promise<boolean> {
    return repair.retryFailed(this, failedJob);
  }

  forceCleanWorker(workerName: string): Promise<ErrorPayload | undefined> {
    return repair.forceCleanWorker(this, workerName);
  }

  cleanOldWorkers(ageMs: number): Promise<{ [name: string]: ErrorPayload }> {
    return repair.cleanOldWorkers(this, ageMs);
  }

  retryStuckJobs(upperLimit = Infinity): Promise<void> {
    return repair.retryStuckJobs(this, upperLimit);
  }

  stats(): Promise<{ [key: string]: string }> {
    return this.store.stats();
  }

  leaderKey(): string {
    return this.connection.key("resque_scheduler_leader_lock");
  }

  leader(): Promise<string | null> {
    return this.store.leader();
  }

  private get store(): QueueStore {
    return this.connection.store;
  }

  /** @returns the id of the job that used the idempotency key before */
  private async add(
    queue: string,
    func: string,
    list: any[],
    options?: EnqueueOptions,
  ): Promise<boolean | string> {
    const job = jobOf(this.jobs, func);
    const raw = this.textOf(queue, func, list, options);
    if (!job?.plugins?.length && !job?.unique && !options) {
      await this.store.enqueue(queue, [raw]);
      return true;
    }
    const parsed = { class: func, queue, args: openArgs(list).args };
    if (!(await runHooks(this, "beforeEnqueue", job, parsed))) return false;
    const unique = uniqueLock(job, func, queue, raw);
    const asked =
      unique || options ? withFields(options, { unique }) : undefined;
    const result = await this.store.enqueue(queue, [raw], asked);
    if (result.state === "known") return result.id;
    if (result.state !== "added") return false;
    await runHooks(this, "afterEnqueue", job, parsed);
    return true;
  }

  private async addLater(
    queue: string,
    func: string,
    list: any[],
    due: Due,
    options?: EnqueueOptions,
  ): Promise<boolean | string> {
    const raw = this.textOf(queue, func, list, options);
    const unique = uniqueLock(jobOf(this.jobs, func), func, queue, raw);
    const asked = withFields(options, { unique });
    const result = await this.store.delay({ queue, raw }, due, asked);
    if (result.state === "known") return result.id;
    // a job that is `unique` may be there at any time
    if (result.state === "duplicate" && !unique) return "duplicate";
    return result.state === "added";
  }

  private textOf(
    queue: string,
    func: string,
    list: any[],
    options?: EnqueueOptions,
  ): string {
    const context = options?.track ? undefined : this.carry?.(func);
    return jobText(queue, func, list, context);
  }
}

function jobText(
  queue: string,
  func: string,
  list: any[],
  context: JobContext | undefined,
): string {
  const bare = encode(queue, func, list);
  return context ? withContext(bare, context) : bare;
}

function ownedBy(node: string | undefined): EnqueueOptions | undefined {
  return node === undefined ? undefined : { node };
}

function listOf(args: any): any[] {
  return Array.isArray(args) ? args : [args];
}

function isAdded(
  added: boolean | string,
  suppressDuplicateTaskError: boolean,
): true | undefined {
  if (added === true) return true;
  if (added === "duplicate" && !suppressDuplicateTaskError)
    throw alreadyThere();
  return undefined;
}

function alreadyThere(): ActionheroError {
  return new ActionheroError(
    "AH_TASK",
    "Job already enqueued at this time with same arguments",
  );
}

function dueOf({ at, in: wait }: TrackedOptions): Due | undefined {
  if (wait !== undefined) return { inMs: inspect.waitMs(wait) };
  if (at === undefined) return undefined;
  return { atMs: inspect.wholeMs(at, "the time of a job") };
}
