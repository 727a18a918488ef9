/**
 * The interface between the task engine and its data store. Two implementations: `redisStore`, which runs Lua
 * scripts, and `memoryStore`, for one process alone.
 *
 * Every operation on one job is atomic. `enqueue` of many jobs is atomic per batch: after an error, earlier batches are
 * enqueued. Lists of all jobs or locks may miss or repeat concurrent changes. An operation takes no effect after it was rejected with "Command timed out"; it may
 * have taken effect before, if only its reply was lost. An operation that is sent twice, because a connection was
 * lost, takes effect once. All times are those of the store's clock.
 */
import type { JobInfo } from "../types";

/** When a job is due: `atMs` since the epoch, stored as given, or `inMs` from now by the store's clock. */
export type Due = { atMs: number } | { inMs: number };

/** A queue and the text of a job. */
export interface QueuedJob {
  queue: string;
  raw: string;
}

/** Identifies equal jobs. */
export interface UniqueLock {
  /** Names the lock (see `uniqueKey`). */
  key: string;
  class: string;
}

/** A trackable job. */
export interface TrackedJob {
  id: string;
  class: string;
}

export interface EnqueueOptions {
  /** Refuse the job while the same one is queued, delayed, waiting for a slot or running. */
  unique?: UniqueLock;
  /** Record the state of the job, see `jobInfo`. */
  track?: TrackedJob;
  /** A second call with the same key, until a day after the job is due, adds nothing and returns the id of the first one; needs `track`. */
  idempotencyKey?: string;
  /** The queue belongs to this node: it does from now on, so that no other node fetches the job. */
  node?: string;
}

/**
 * - `added`;
 * - `held`: the job is `unique` and exists;
 * - `duplicate`: the same job is delayed to the same second;
 * - `known`: `idempotencyKey` was used before, by the job `id`.
 */
export type EnqueueResult =
  { state: "added" | "held" | "duplicate" } | { state: "known"; id: string };

/** One worker, as listed in `workers`. Created by `workerIdentity`. */
export interface WorkerIdentity {
  /** `host:pid+n` */
  readonly name: string;
  /** The queues it works, as text: `*` or `a,b`. */
  readonly queues: string;
  /** `<name>:<queues>` */
  readonly member: string;
  /** The name as JSON. */
  readonly quoted: string;
}

export function workerIdentity(name: string, queues: string): WorkerIdentity {
  return {
    name,
    queues,
    member: `${name}:${queues}`,
    quoted: JSON.stringify(name),
  };
}

/** An effect that is applied atomically with the report of a finished job, or not at all if the report is refused. */
export type Effect =
  /** The job is delayed. An equal job in the same second is kept as well, so that no job is lost. */
  | { do: "delay"; queue: string; raw: string; due: Due }
  /** The `unique` lock `key` of the job `raw` is released. */
  | { do: "unlockUnique"; key: string; raw: string }
  /** The `unique` lock `key` now belongs to the job as `raw`: its text has changed. */
  | { do: "moveUnique"; key: string; raw: string }
  /** A lock that the worker took is released. */
  | { do: "releaseLock"; key: string; value: string }
  /** The worker's concurrency slot of this class is released, and a job that waits for it is moved to its queue. */
  | { do: "releaseSlot"; class: string }
  /** The oldest entries of a class are removed from the failed list; the entry of this report is counted. */
  | { do: "boundFailed"; class: string; most: number }
  /** The state of a tracked job is updated. */
  | { do: "updateJob"; id: string; fields: JobFields }
  /** The counter of the Retry plugin and the description of the last failure end after `seconds`. */
  | { do: "keepRetry"; key: string; failure: string; seconds: number }
  /** Schedule the next run of a recurring task, so that it is queued, delayed or in the record of a worker at every moment. */
  | ({ do: "planRun" } & NextRun)
  /** Stop a recurring task. */
  | { do: "stopTask"; task: string };

/** The next run of a recurring task. */
export interface NextRun {
  task: string;
  /** For a task that each node runs: the node whose queue gets the next run. */
  node?: string;
  /** Jobs that it replaces. */
  remove: readonly QueuedJob[];
  next: QueuedJob & { due: Due };
  /** If another plan has been declared, nothing is scheduled: the declaration scheduled its own run. */
  plan?: string;
  /** If the task has been stopped, nothing is scheduled. */
  unlessStopped: boolean;
}

/** The fields of a tracked job; `result` and `progress` are JSON. */
export interface JobFields {
  state?: JobInfo["state"];
  attempt?: number;
  progress?: string;
  result?: string;
  error?: string;
}

/**
 * The outcome of a worker's last job.
 * - `none`: it had none;
 * - `success`: counted as processed;
 * - `failure`: counted as failed, `entry` is added to the failed list;
 * - `retried`: counted as failed, without an entry;
 * - `uncounted`: it ended without having run, e.g. a plugin refused it.
 */
export type Outcome = (
  | { kind: "none" | "success" | "uncounted" | "retried" }
  | { kind: "failure"; entry: string }
) & { effects?: readonly Effect[] };

export const NO_OUTCOME: Outcome = { kind: "none" };

export interface ExchangeSlot {
  worker: WorkerIdentity;
  outcome: Outcome;
  /** The job that it reports. */
  raw?: string;
  /** Fetch another job; a worker that reports nothing and still holds one gets that. */
  want: boolean;
}

export interface ExchangeCall {
  /** Id of the registered process. */
  process: string;
  /**
   * Grows by one per call within a registration. A repetition of the last number changes nothing and returns the same
   * jobs, so a call is repeated, with the same `slots`, until it gets a reply.
   */
  number: number;
  /**
   * In order of preference. `*` means all queues that are not listed: those of `node` first, then those without a
   * node. Paused queues are skipped.
   */
  queues: readonly string[];
  /** The queues that `*` means take turns by name: the one behind this is the first. */
  after?: string;
  /** The id of this node, for `*` and for its own queues. */
  node?: string;
  slots: readonly ExchangeSlot[];
}

export interface ExchangeResult {
  /** One per slot. */
  jobs: (QueuedJob | undefined)[];
  /**
   * The slot whose job killed so many workers that it has to run alone: the process gets no other job until that one
   * is reported.
   */
  alone?: number;
  /** Slots of workers that are not registered any more: what they reported does not count, and they got no job. */
  unlisted?: number[];
  /** Problems of the data, e.g. `WRONGTYPE ... queue:mail`: that queue was skipped, the rest was processed. */
  problems: string[];
}

/** A job that was taken from a worker, or the worker without a job. */
export interface Returned {
  what: "idle" | "requeued" | "failed";
  member: string;
  queue: string;
  raw: string;
}

export interface Renewal {
  /** Ids of processes whose lease has ended; at most 20. */
  expired: string[];
  /** The time of the store's clock. */
  nowMs: number;
}

export interface Promotion {
  /** Jobs that were moved to their queues: the second of their bucket and their text. */
  moved: { second: string; raw: string }[];
  /** How long until the next one may be due, in ms; undefined without delayed jobs. */
  nextInMs?: number;
}

export interface LockRequest {
  /** The key, with the namespace. */
  key: string;
  seconds: number;
  /** A lock with an owner has a value of its own; without one it is the second after its end, as in resque. */
  owned?: boolean;
  /** The lock ends with this worker, and is renewed with it. */
  worker?: WorkerIdentity;
}

export interface QueueLockRequest {
  /** The key, with the namespace. */
  key: string;
  seconds: number;
  /** A lock younger than this may be ahead of its job. */
  believedSeconds: number;
  job: QueuedJob;
}

/** A tracked job that a worker runs. */
export interface HeldJob {
  id: string;
  worker: WorkerIdentity;
  raw: string;
}

export interface HeldLock {
  key: string;
  value: string;
  seconds: number;
}

export interface SlotRequest {
  process: string;
  worker: WorkerIdentity;
  class: string;
  /** The maximum of concurrent jobs of the class. */
  limit: number;
  job: QueuedJob;
}

/** The events that a process waits for. */
export type WakeTarget =
  | {
      /** As in `ExchangeCall`. */
      queues: readonly string[];
      node?: string;
    }
  | "scheduler";

export interface Waiting {
  /** Resolves with true when jobs may be available, false when the wait timed out or was stopped. */
  done: Promise<boolean>;
  stop: () => void;
}

/** A recurring task, as the latest scheduler declared it. */
export interface PlannedTask {
  /** Its schedule, in the caller's format. */
  plan: string;
  /** Who declared it. */
  by: string;
  /** Whether that scheduler requested plans within its `liveMs`. */
  isLive: boolean;
  /** When its next run was last scheduled; 0 before the first time. */
  sinceMs: number;
}

export interface PlanChange {
  task: string;
  /** For a task that each node runs: the node whose queue gets the next run. */
  node?: string;
  /** From now on the task runs like this. */
  declare?: { by: string; plan: string };
  /** Jobs to remove from their queues and the schedule. */
  remove: readonly QueuedJob[];
  /** The next run; the task no longer counts as stopped. */
  next?: QueuedJob & { due: Due };
}

/** A recurring task whose next run exists in one of several places. */
export interface AwaitedRun {
  task: string;
  queue: string;
  /** The texts that its job can have. */
  raws: readonly string[];
  /** For a task that each node runs: the runs in other queues are those of other nodes. */
  onlyInQueue: boolean;
}

/** A registered worker whose process no longer exists, with the job of its record. */
export interface Orphan {
  member: string;
  /** Text of the record; undefined when it had no job. */
  record?: string;
}

export interface QueueLength {
  /** Jobs in the list. */
  queued: number;
  /** Jobs that wait for a concurrency slot. */
  waiting: number;
}

export interface WorkerRecord {
  member: string;
  /** `{"worker","queue","run_at","payload"}`; null while it has no job. */
  record: string | null;
}

export interface QueueStore {
  readonly kind: "redis" | "memory";

  // ------------------------------------------------------------------ clock

  /** The time by the store's clock, in ms since the epoch. */
  now(): Promise<number>;

  // -------------------------------------------------------------- producers

  /** Add jobs to the tail of a queue and wake workers. All options but `node` are for one job. */
  enqueue(
    queue: string,
    raws: readonly string[],
    options?: EnqueueOptions,
  ): Promise<EnqueueResult>;
  /** Keep a job for later. */
  delay(
    job: QueuedJob,
    due: Due,
    options?: EnqueueOptions,
  ): Promise<EnqueueResult>;
  /**
   * Move an entry of the failed list to a queue.
   * @param entry its text
   * @returns `missing` when it is not in the list
   */
  retryFailed(
    entry: string,
    job: QueuedJob,
    options?: Pick<EnqueueOptions, "unique">,
  ): Promise<"added" | "held" | "missing">;

  // -------------------------------------------------------------- scheduler

  /**
   * Lead from now on for `ttlMs`.
   * @returns 0, or the ms after which the leadership of another one ends; Infinity when that is unknown
   */
  lead(name: string, ttlMs: number): Promise<number>;
  resign(name: string): Promise<void>;
  /** Move up to `limit` due jobs to their queues. */
  promote(limit: number): Promise<Promotion>;
  /**
   * Release the concurrency slots of dead workers, and move jobs that wait for free slots to their queues.
   * @param limits by class: the limit, or null for a class that is defined without one, whose jobs wait no longer
   */
  sweepSlots(limits: Readonly<Record<string, number | null>>): Promise<void>;
  /**
   * Find jobs of producers without wake-up tokens, for `*`: a batch of all known queues, so that calls from any
   * number of processes check each queue once per `periodMs`.
   * @returns the ms after which the next call is due
   */
  sweepQueues(periodMs: number): Promise<number>;

  // ----------------------------------------------------------- process life

  /**
   * @param connectionName of the process's connections, by which others detect that it is alive; empty for a process
   * that is judged only by its lease
   */
  register(
    process: string,
    ttlMs: number,
    connectionName: string,
  ): Promise<Renewal>;
  /** Extend locks that no registered worker holds. */
  renewLocks(locks: readonly HeldLock[]): Promise<void>;
  /**
   * Extend the lease and the pings of `workers`, and their locks.
   * @returns undefined when the registration was removed
   */
  renew(
    process: string,
    ttlMs: number,
    workers: readonly WorkerIdentity[],
    locks: readonly HeldLock[],
  ): Promise<Renewal | undefined>;
  /**
   * @returns `taken` when another process uses this name; `fenced` when the registration was removed; what became of the job
   *   when it joined in place of a dead worker with this name
   */
  join(
    process: string,
    worker: WorkerIdentity,
    ttlMs: number,
  ): Promise<"joined" | "taken" | "fenced" | Returned>;
  /**
   * End the registration of a worker: the job in its record is requeued at the head of its queue, its locks and
   * slots are released.
   * @param onlyIdle change nothing if there is a job, and return it as `running`
   */
  leave(
    process: string,
    worker: WorkerIdentity,
    onlyIdle?: boolean,
  ): Promise<Returned | { what: "running"; queue: string; raw: string }>;
  /** End the registration of a process, as `leave` does for every worker that it still has. */
  deregister(process: string): Promise<Returned[]>;
  /**
   * Remove the registration of a dead process and requeue its jobs. A job whose workers died three times within an
   * hour is added to the failed list as `WorkerCrashed`.
   * @param graceMs how long ago its lease must have expired
   * @returns undefined if it expired later than that
   */
  reap(process: string, graceMs: number): Promise<Returned[] | undefined>;
  /** The processes among `processes` without a connection to the store; empty if that is unknown. */
  findDisconnected(processes: readonly string[]): Promise<string[]>;
  /** Registered workers of ours whose process no longer exists. */
  findOrphans(): Promise<Orphan[]>;
  /**
   * Reap orphaned workers.
   * @param periodMs check only a batch of the workers, so that calls from any number of processes check each worker
   * once in this time (default: all of them)
   */
  repairOrphans(periodMs?: number): Promise<Returned[]>;

  // ------------------------------------------------------------------ fetch

  /**
   * A job that runs alone starts: a death of its worker counts from now on. Before, it waits for other jobs of its process.
   * @returns false when it is no longer the worker's
   */
  startAlone(process: string, worker: WorkerIdentity): Promise<boolean>;
  /**
   * Report the finished jobs of a process and fetch its next ones.
   * @returns "fenced" when the registration was removed, and its jobs were requeued
   */
  exchange(call: ExchangeCall): Promise<ExchangeResult | "fenced">;
  /** Effects without a report, for a job that runs outside of any queue. */
  apply(worker: WorkerIdentity, effects: readonly Effect[]): Promise<void>;

  // ---------------------------------------------------------------- running

  /**
   * Take a concurrency slot for the job in the worker's record.
   * @returns `waiting` when the job waits for a slot; `lost` when the worker no longer holds the job
   */
  acquireSlot(request: SlotRequest): Promise<"acquired" | "waiting" | "lost">;
  /**
   * A worker that holds the lock gets it again: the reply to its first call may have been lost.
   * @returns undefined when another owner holds it, or `worker` is no longer registered
   */
  takeLock(request: LockRequest): Promise<HeldLock | undefined>;
  releaseLock(
    lock: Pick<HeldLock, "key" | "value">,
    worker?: WorkerIdentity,
  ): Promise<void>;
  /**
   * Take the lock of a job that is to be queued once. One that was taken before counts while it is young, or its job is
   * queued, delayed or waiting; else it is taken over.
   */
  takeQueueLock(request: QueueLockRequest): Promise<boolean>;
  /**
   * Updates of a tracked job before its report: that it runs, its progress. A call that arrives after the report, or
   * again, changes nothing.
   */
  updateJob(job: HeldJob, fields: JobFields): Promise<void>;
  /** A `unique` job runs: a check of its lock looks there first, and not at all workers. */
  noteUnique(key: string, held: Pick<HeldJob, "worker" | "raw">): Promise<void>;
  /** Release the lock of a job that failed without a report, unless the same job was added again meanwhile. */
  releaseUnique(lock: UniqueLock, job: QueuedJob): Promise<void>;
  /**
   * A job was fetched that this process does not define.
   * @param timeoutMs how long it may wait for a process that defines it
   * @returns how long it has waited, in ms; undefined when that is too long, after which the count restarts
   */
  waitUnknown(job: QueuedJob, timeoutMs: number): Promise<number | undefined>;
  /** Count an attempt for the Retry plugin: 0 for the first. */
  countRetry(key: string): Promise<number>;
  forgetRetry(key: string): Promise<void>;

  // -------------------------------------------------------------- operators

  /** Stop all processes from fetching jobs of the queue, and of the queues that belong to one node of it. Producers are not affected. */
  pause(queue: string): Promise<void>;
  resume(queue: string): Promise<void>;
  pausedQueues(): Promise<string[]>;

  // ---------------------------------------------------------------- inspect

  queues(): Promise<string[]>;
  lengths(queues: readonly string[]): Promise<Record<string, QueueLength>>;
  /** Jobs of a queue from `start` to `stop`, followed by jobs waiting for a concurrency slot. */
  jobs(queue: string, start: number, stop: number): Promise<string[]>;
  /** Whether a job is in a queue, delayed or waiting; true as well when the queue is too long to be searched. */
  isQueued(queue: string, raw: string): Promise<boolean>;
  /**
   * @param count at most so many from the head, or from the tail when negative; 0 for all
   * @returns the number of removed jobs
   */
  removeJobs(
    queue: string,
    raws: readonly string[],
    count?: number,
  ): Promise<number>;
  removeQueue(queue: string): Promise<void>;

  /** Seconds that have a bucket, ascending. */
  delayedSeconds(): Promise<number[]>;
  delayedJobs(second: number): Promise<string[]>;
  /** Seconds at which a job is due. */
  scheduledAt(raw: string): Promise<number[]>;
  /** @returns the seconds it was due at */
  removeDelayed(raw: string): Promise<number[]>;

  failedCount(): Promise<number>;
  failed(start: number, stop: number): Promise<string[]>;
  /** @returns how many entries were removed, 0 or 1 */
  removeFailed(entry: string): Promise<number>;

  /** Members of `workers`. */
  workers(): Promise<string[]>;
  records(members: readonly string[]): Promise<WorkerRecord[]>;
  /** Texts of `worker:ping:*`, of workers without a lease. */
  foreignPings(): Promise<string[]>;
  /**
   * Remove a worker and its job.
   * @param seen its record as the caller knows it
   * @param entry goes to the failed list, and counts as failed
   * @returns false when the worker has another record, and nothing was changed
   */
  removeWorker(
    seen: WorkerRecord,
    name: string,
    entry?: string,
  ): Promise<boolean>;

  /** The locks by name, without the namespace: the second after the end of each. */
  locks(): Promise<Record<string, string>>;
  /**
   * @param key with the namespace
   * @returns 1, or 0 when there was none
   */
  removeLock(key: string): Promise<number>;
  /** The counters by name, without `stat:`. */
  stats(): Promise<Record<string, string>>;
  /** Name of the leading scheduler. */
  leader(): Promise<string | null>;
  jobInfo(id: string): Promise<JobInfo | undefined>;

  // ------------------------------------------------------------------ nodes

  /** Announce a live node and its own queues, from which no other node fetches. */
  announceNode(
    node: string,
    queues: readonly string[],
    liveMs: number,
    keepMs: number,
  ): Promise<void>;
  retireNode(node: string): Promise<void>;
  liveNodes(): Promise<string[]>;
  /** Give each live node a queue `<prefix><node>` of its own; returns their names. */
  assignQueues(prefix: string): Promise<string[]>;
  /** Remove the queues of nodes that were not announced for their `keepMs`, and the next runs there; returns their names. */
  removeQueuesOfLostNodes(): Promise<string[]>;
  // --------------------------------------------------------- periodic tasks

  /**
   * Periodic tasks that were declared, by name.
   * @param asker `by` declares and lives for `liveMs`; the plans of a node are kept for `keepMs`
   */
  plans(
    node?: string,
    asker?: { by: string; liveMs: number; keepMs: number },
  ): Promise<Record<string, PlannedTask>>;
  /** The schedule of one task, if it was declared; costs the same however many tasks there are. */
  planOf(task: string, node?: string): Promise<string | undefined>;
  /** @returns how many jobs were removed */
  plan(change: PlanChange): Promise<number>;
  /** The tasks that were not stopped, and of which no job runs, is delayed, queued or waiting; costs one call per 1,000 runs. */
  missingRuns(runs: readonly AwaitedRun[]): Promise<string[]>;
  /** Periodic tasks that were stopped by hand. */
  markStopped(task: string, isStopped: boolean): Promise<void>;
  isStopped(task: string): Promise<boolean>;

  // --------------------------------------------------------------- wake-ups

  /** A `wait` with this mark notices additions after it. */
  mark(): number;
  /**
   * Wait until jobs may be available, at most `timeoutMs`.
   * @param since the mark from before the operation that decided to wait
   */
  wait(target: WakeTarget, timeoutMs: number, since: number): Waiting;
  /** Release the resources of waits. Stop all waits first. */
  close(): void;
}
