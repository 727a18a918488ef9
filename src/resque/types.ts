/** The vocabulary of the queue: what lies in redis, and what users give to run it. */
import type { Redis } from "ioredis";
import type { JobView } from "./jobView";
import type { PluginReference } from "./plugin";
import type { QueueStore } from "./store/store";

/** One job as it lies in a queue. */
export interface ParsedJob {
  class: string;
  queue: string;
  args: any[];
  /** The id of a job that can be looked up with `Queue.job`. */
  id?: string;
  /** Counts from 1; set from the second attempt of a job with `retry`. */
  attempt?: number;
  /** The id of the work that enqueued a job with an `id`, if that had one. */
  requestId?: string;
  /** The span that enqueued a job with an `id`, as in the header of this name. */
  traceparent?: string;
}

/** Wraps the run of each job: it must call `run` exactly once, and return its result. */
export type Around = <T>(job: ParsedJob, run: () => T) => T;

/** How a failed job is tried again. */
export interface RetryRule {
  /** Runs in all, the first one counted. */
  attempts: number;
  /** `exponential` doubles `delay` each time; a list gives each wait in ms, its last one repeated (default `exponential`). */
  backoff?: "exponential" | "fixed" | number[];
  /** The first wait, in ms (default 1000). */
  delay?: number;
  /** The longest wait, in ms (default 1 h). */
  maxDelay?: number;
  /** Part of each wait that is random, 0 to 1; true is 0.5 (default 0). */
  jitter?: boolean | number;
  /** Whether another attempt can succeed after this error; if not, the job fails at once (default: after any error). */
  if?: (error: Error) => boolean;
}

/** How jobs of one class are done. */
export interface Job {
  plugins?: PluginReference[];
  pluginOptions?: { [pluginName: string]: any };
  perform: (this: JobView, ...args: any[]) => any;
  /**
   * Called after each run, also one that a plugin refused, before its report; not for a postponed run. Errors are emitted
   * and do not affect the job.
   */
  finished?: (view: JobView) => Promise<void>;
  /** Try again after a failure, in the same step that reports it. */
  retry?: RetryRule;
  /** A run that lasts longer fails, and `worker.signal` is aborted, in ms. */
  timeout?: number;
  /**
   * What happens when a run continues after its `timeout`: its worker fetches the next job, or it waits for the end of
   * the run, so that no other attempt runs beside it (default `leave`).
   */
  afterTimeout?: "leave" | "wait";
  /** How many jobs of this class run at a time, on all workers together. */
  concurrency?: number;
  /** Not enqueued while a job with the same arguments is queued, delayed or running. */
  unique?: boolean;
  /** How many entries of this class the failed list keeps; older ones are removed. */
  maxFailed?: number;
}

export interface Jobs {
  [className: string]: Job | Job["perform"];
}

/** The facts about a job with an id, which are kept for a day after its last change. */
export interface JobInfo {
  id: string;
  state: "queued" | "delayed" | "running" | "retrying" | "done" | "failed";
  class: string;
  queue: string;
  attempt: number;
  /** The last value that the job passed to `worker.progress`. */
  progress?: any;
  result?: any;
  error?: string;
}

/** The record of a worker's current job in redis. */
export interface WorkingOn {
  worker: string;
  queue: string;
  run_at: string;
  payload: ParsedJob;
}

/**
 * The current job of a worker. An idle worker has the string `"started"`: compare with `===` before reading any
 * property. It has the type of a record beside its own, as code for version 29 reads one without asking.
 */
export type WorkerActivity = WorkingOn | Waiting;

type Waiting = "started" & WorkingOn;

/** A worker that waits. */
export const STARTED = "started" as Waiting;

/** An entry of the failed list. */
export interface ErrorPayload {
  worker: string;
  queue: string;
  payload: ParsedJob;
  exception: string;
  error: string;
  backtrace: string[] | null;
  failed_at: string;
}

export interface ConnectionOptions {
  /** A client to share; it is not closed by `end()`. */
  redis?: Redis;
  /** Keeps the data instead of redis. */
  store?: QueueStore;
  /** How long one operation may take, in ms (default: the client's `commandTimeout`, or 10,000). */
  operationTimeout?: number;
  pkg?: string;
  host?: string;
  port?: number;
  database?: number;
  password?: string;
  /** Put before every key (default `resque`; `{resque}` on a Redis Cluster). */
  namespace?: string | string[];
  scanCount?: number;
  options?: Record<string, unknown>;
}
