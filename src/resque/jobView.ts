/** The worker as the hooks and the body of one job see it. */
import { toError } from "../errors";
import { isDenied, isFinal } from "../redis/commands";
import type { Effect, HeldJob, JobFields, QueuedJob } from "./store/store";
import type { ParsedJob } from "./types";
import type { Worker } from "./worker";
import type { JobLease } from "./member";

/** The lease of a worker expired before its job ended: the result of the job is dropped. */
export class LeaseEnded extends Error {
  constructor() {
    super("the job was given to another worker");
  }
}

export interface RetryInfo {
  /** The delay of the job, in ms. */
  delay: number;
  remainingAttempts: number;
  err: Error;
  /** By `retry` of the job, and not by a plugin: the attempt that failed, and how many there are in all. */
  attempt?: number;
  attempts?: number;
}

/**
 * The worker, with the data of one run of a job. Plugins and middleware may change `result`, `error` and `job`;
 * other runs are not affected.
 */
export interface JobView extends Worker {
  error: Error | null;
  result: any;
  job: ParsedJob;
  queue: string;
  /** The text of the job. */
  readonly raw: string;
  readonly lease: JobLease;
  /** The job will be retried. */
  isRetried: boolean;
  /** The job was not run but delayed. */
  isPostponed: boolean;
  /** The job was not run, because another run of it is in progress. */
  isSecond: boolean;
  /** The run has ended, although its body may still be running. */
  isOver: boolean;
  /** The body, if it continues after its `timeout`. */
  overrun?: Promise<unknown>;
  /**
   * Aborted when the job should end: after its `timeout`, when its worker leaves, or when it was given to another
   * worker.
   */
  readonly signal: AbortSignal;
  abort(reason: string): void;
  /** Abort because the job is requeued. */
  lose(reason: string): void;
  /** The job was requeued, and it failed because it was told so. */
  hasYielded(): boolean;
  /**
   * Take a lock that is renewed while the worker lives, and released with the report of the job.
   * @param seconds how long it lives unless it is renewed (default 300; 60 outside of any queue)
   * @returns false when someone else holds it
   */
  takeLock(key: string, seconds?: number): Promise<boolean>;
  /**
   * Repeat a call to the store until it responds: an outage alone does not fail a job.
   * @throws LeaseEnded when the job was given to another worker meanwhile, or is about to be
   */
  persist<T>(call: () => Promise<T>): Promise<T>;
  /** Effects that are applied atomically with the report of the job, or not at all. */
  onFinish(...effects: Effect[]): void;
  /** The job is delayed to be tried again: it counts as a failure, and ends like a success. */
  retryLater(effects: readonly Effect[], info: RetryInfo): void;
  /** The job is delayed without having run, e.g. because another one holds its lock. */
  postpone(...effects: Effect[]): void;
  /** Report the progress of the job; read it with `Queue.job`. Ignored for a job without an id. */
  progress(progress: unknown): Promise<void>;
  /** For `run.ts`: the effects of the run, with the release of all locks. */
  takeEffects(): Effect[];
  /** For `run.ts`: the run has ended, and its worker shows its error and result. */
  close(): void;
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

/** The class of a worker's views, which inherit from the worker itself. */
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
    declare isSecond: boolean;
    declare isOver: boolean;
    declare overrun: Promise<unknown> | undefined;
    declare private effects: Effect[];
    declare private aborter: AbortController | undefined;
    declare private isLost: boolean;

    constructor(job: ParsedJob, { queue, raw }: QueuedJob, lease: JobLease) {
      this.error = null;
      this.result = null;
      this.job = job;
      this.queue = queue;
      this.raw = raw;
      this.lease = lease;
      this.isRetried = false;
      this.isPostponed = false;
      this.isSecond = false;
      this.isOver = false;
      this.overrun = undefined;
      this.effects = [];
      this.aborter = undefined;
      this.isLost = false;
    }

    get signal(): AbortSignal {
      this.aborter ??= new AbortController();
      return this.aborter.signal;
    }

    abort(reason: string): void {
      this.aborter ??= new AbortController();
      this.aborter.abort(new Error(reason));
    }

    lose(reason: string): void {
      this.isLost = true;
      this.abort(reason);
    }

    hasYielded(): boolean {
      const { error } = this;
      if (!this.isLost || !error) return false;
      const { reason } = this.signal as { reason: unknown };
      return error === reason || error.cause === reason;
    }

    async takeLock(key: string, seconds?: number): Promise<boolean> {
      const { lease } = this;
      const request = {
        key,
        seconds: seconds ?? lease.lockSeconds,
        owned: true,
        worker: lease.worker,
      };
      const lock = await this.persist(() => worker.store.takeLock(request));
      if (!lock) return false;
      lease.hold(lock);
      return true;
    }

    async persist<T>(call: () => Promise<T>): Promise<T> {
      const settle = (): Promise<{ value: T } | { error: Error }> =>
        call().then(
          (value) => ({ value }),
          (error: Error) => {
            if (isFinal(error) && !isDenied(error)) return { error };
            throw error;
          },
        );
      const reply = await this.lease.persist(settle);
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
        await worker.store.updateJob(held, {
          progress: keptJson("progress", progress, (reason) =>
            worker.notify("unkept", this.queue, this.job, reason),
          ),
        });
    }

    takeEffects(): Effect[] {
      const { effects, lease } = this;
      this.effects = [];
      for (const { key, value } of lease.locks.values())
        effects.push({ do: "releaseLock", key, value });
      return effects;
    }

    close(): void {
      this.isOver = true;
      worker.error = this.error;
      worker.result = this.result;
    }
  }
  Object.setPrototypeOf(View.prototype, worker);
  // eslint-disable-next-line no-restricted-syntax -- TypeScript knows no class that inherits from an instance
  return View as unknown as JobViewClass;
}

// --- The fields that a worker reports for a trackable job.

/** The longest stored result, in characters: redis is not a file store. */
const MAX_RESULT_LENGTH = 65_536;

/** Fields that are written atomically with the report of a job. */
export function finalFields(view: JobView): JobFields {
  if (view.error) return { state: "failed", error: errorText(view.error) };
  if (view.isRetried) return { state: "retrying" };
  if (view.isPostponed) return { state: "delayed" };
  const { queue, job } = view;
  const result = keptJson("result", view.result, (reason) =>
    view.notify("unkept", queue, job, reason),
  );
  return { state: "done", result };
}

/**
 * @param lose called for a value without a JSON, e.g. because it contains itself, or with a too long one
 * @returns JSON; nothing for such a value
 */
function keptJson(
  what: "result" | "progress",
  value: unknown,
  lose: (reason: string) => void,
): string {
  try {
    const text = (JSON.stringify(value) as string | undefined) ?? "";
    if (text.length <= MAX_RESULT_LENGTH) return text;
    lose(
      `the JSON of its ${what} has ${text.length} characters, of at most ${MAX_RESULT_LENGTH}`,
    );
  } catch (error) {
    const reason = toError(error).message.split("\n", 1)[0]!;
    lose(`its ${what} has no JSON: ${reason}`);
  }
  return "";
}

function errorText({ message }: Error): string {
  return typeof message === "string" ? message : "";
}
