/** The worker as the hooks and the body of one job see it. */
import { isFinal } from "../redis/away";
import { shortJson } from "./jobFields";
import type { Effect, HeldJob, QueuedJob } from "./store/store";
import type { ParsedJob } from "./types";
import type { Worker } from "./worker";
import type { JobLease } from "./workerProcess";

/** The lease of a worker ended before its job: whatever the job does does not count any more. */
export class LeaseEnded extends Error {
  constructor() {
    super("the job was given to another worker");
  }
}

export interface RetryInfo {
  /** How long the job waits, in ms. */
  delay: number;
  remainingAttempts: number;
  err: Error;
  /** By `retry` of the job, and not by a plugin: the attempt that failed, and how many there are in all. */
  attempt?: number;
  attempts?: number;
}

/**
 * Everything that a worker is, and what belongs to one run of a job. `result`, `error` and `job` may be changed by plugins
 * and middleware; other runs do not see it.
 */
export interface JobView extends Worker {
  error: Error | null;
  result: any;
  job: ParsedJob;
  queue: string;
  /** The text of the job. */
  readonly raw: string;
  readonly lease: JobLease;
  /** The job ends as one that is tried again. */
  isRetried: boolean;
  /** The job was not run but delayed. */
  isPostponed: boolean;
  /** The run has ended, though its body may go on. */
  isOver: boolean;
  /** The body, when its `timeout` is over and it goes on. */
  overrun?: Promise<unknown>;
  /** Aborted when the job is to end: its `timeout` is over, its worker leaves, or it was given to another worker. */
  readonly signal: AbortSignal;
  abort(reason: string): void;
  /**
   * Take a lock that is renewed while the worker lives, and released with the report of the job.
   * @returns false when someone else holds it
   */
  takeLock(key: string, seconds: number): Promise<boolean>;
  /**
   * Repeat a call to the store until it answers: an outage alone fails no job.
   * @throws LeaseEnded when the job was given to another worker meanwhile, or is about to be
   */
  persist<T>(call: () => Promise<T>): Promise<T>;
  /** Effects that hold together with the report of the job, and are left out with it. */
  onFinish(...effects: Effect[]): void;
  /** The job is delayed to be tried again: it counts as a failure, and ends like a success. */
  retryLater(effects: readonly Effect[], info: RetryInfo): void;
  /** The job is delayed without having run, e.g. because another one holds its lock. */
  postpone(...effects: Effect[]): void;
  /** Tell how far the job is; read it with `Queue.job`. A job without an id keeps nothing. */
  progress(progress: unknown): Promise<void>;
  /** For `run.ts`: the effects of the run, with the release of all locks. */
  takeEffects(): Effect[];
}

/** @returns undefined for a job without an id, or outside of any queue */
export function heldJob({
  job: { id },
  lease: { worker },
  raw,
}: Pick<JobView, "job" | "lease" | "raw">): HeldJob | undefined {
  return id && worker ? { id, worker, raw } : undefined;
}

export type JobViewClass = new (
  job: ParsedJob,
  taken: QueuedJob,
  lease: JobLease,
) => JobView;

/** The class of the views of a worker: they inherit from the worker itself. */
export function viewClassOf(worker: Worker): JobViewClass {
  // fields are assigned, as definitions of fields on so many classes are slow
  class View {
    declare error: Error | null;
    declare result: unknown;
    declare readonly job: ParsedJob;
    declare readonly queue: string;
    declare readonly raw: string;
    declare readonly lease: JobLease;
    declare isRetried: boolean;
    declare isPostponed: boolean;
    declare isOver: boolean;
    declare overrun: Promise<unknown> | undefined;
    declare private effects: Effect[];
    declare private aborter: AbortController | undefined;

    constructor(job: ParsedJob, { queue, raw }: QueuedJob, lease: JobLease) {
      this.error = null;
      this.result = null;
      this.job = job;
      this.queue = queue;
      this.raw = raw;
      this.lease = lease;
      this.isRetried = false;
      this.isPostponed = false;
      this.isOver = false;
      this.overrun = undefined;
      this.effects = [];
      this.aborter = undefined;
    }

    get signal(): AbortSignal {
      this.aborter ??= new AbortController();
      return this.aborter.signal;
    }

    abort(reason: string): void {
      this.aborter ??= new AbortController();
      this.aborter.abort(new Error(reason));
    }

    async takeLock(key: string, seconds: number): Promise<boolean> {
      const { lease } = this;
      const request = { key, seconds, owned: true, worker: lease.worker };
      const lock = await this.persist(() => worker.store.takeLock(request));
      if (!lock) return false;
      lease.locks.set(key, lock);
      return true;
    }

    async persist<T>(call: () => Promise<T>): Promise<T> {
      const answer = (): Promise<{ value: T } | { error: Error }> =>
        call().then(
          (value) => ({ value }),
          (error: Error) => {
            if (isFinal(error)) return { error };
            throw error;
          },
        );
      const reply = await this.lease.persist(answer);
      if (!reply) throw new LeaseEnded();
      if ("error" in reply) throw reply.error;
      return reply.value;
    }

    onFinish(...effects: Effect[]): void {
      this.effects.push(...effects);
    }

    retryLater(effects: readonly Effect[], info: RetryInfo): void {
      this.effects.push(...effects);
      this.isRetried = true;
      worker.notify("reEnqueue", this.queue, this.job, info);
      this.error = null;
    }

    postpone(...effects: Effect[]): void {
      this.effects.push(...effects);
      this.isPostponed = true;
    }

    async progress(progress: unknown): Promise<void> {
      const held = heldJob(this);
      if (held && !this.isOver)
        await worker.store.updateJob(held, { progress: shortJson(progress) });
    }

    takeEffects(): Effect[] {
      const { effects, lease } = this;
      this.effects = [];
      for (const { key, value } of lease.locks.values())
        effects.push({ do: "releaseLock", key, value });
      return effects;
    }
  }
  Object.setPrototypeOf(View.prototype, worker);
  return View as unknown as JobViewClass;
}
