/** Runs one job: its hooks, its body, and its outcome. */
import { ActionheroError, toError } from "../errors";
import { jobOf } from "./encode";
import { failedEntry, parseJob } from "./failure";
import {
  heldJob,
  LeaseEnded,
  type JobView,
  type JobViewClass,
} from "./jobView";
import { runHooks } from "./pluginRunner";
import { keepOverrun, mayOverlap, warnOfOverrun } from "./overrun";
import { nextAttempt } from "./retry";
import { NO_OUTCOME, type Outcome, type QueuedJob } from "./store/store";
import { finalFields } from "./jobFields";
import type { Job, Jobs, ParsedJob } from "./types";
import { uniqueKey } from "./uniqueness";
import { isUnknown, postponeUnknown } from "./unknownJobs";
import type { JobLease } from "./workerProcess";
import { withFields } from "../utils/withFields";

/** @returns the view of a job that is about to run */
export function openJob(
  View: JobViewClass,
  taken: QueuedJob,
  lease: JobLease,
): JobView {
  const { job, problem } = parseJob(taken.raw, taken.queue);
  const view = new View(job, taken, lease);
  if (problem !== undefined) view.error = new Error(problem);
  return view;
}

/** Run a job that was fetched from a queue. It never rejects. */
export async function runJob(view: JobView): Promise<Outcome> {
  try {
    return await performJob(view);
  } catch (error) {
    if (error instanceof LeaseEnded) return NO_OUTCOME;
    return failureOf(view, toError(error));
  } finally {
    view.isOver = true;
  }
}

async function performJob(view: JobView): Promise<Outcome> {
  const { job: parsed, queue, environment } = view;
  const begin = environment.monotonic();
  let job: Job | undefined;
  try {
    if (view.error) throw view.error;
    const postponed = isUnknown(view) && (await postponeUnknown(view));
    if (postponed) return postponed;
    job = definitionOf(view.jobs, parsed);
    await checkLease(view);
    // the job waits for a slot, or was already given to another worker
    if (job.concurrency && !(await acquireSlot(view, job.concurrency)))
      return NO_OUTCOME;
    showRunning(view);
    if (job.unique) noteUnique(view);
    if (mayOverlap(view, job)) await warnOfOverrun(view);
    view.notify("job", queue, parsed);
    if (!(await runHooks(view, "beforePerform", job, parsed))) {
      await finish(view, job);
      return ended(view, job, { kind: "uncounted" });
    }
    for (const arg of parsed.args)
      if (typeof arg === "object" && arg !== null) Object.freeze(arg);
    await checkLease(view);
    await runBody(view, job);
  } catch (error) {
    if (error instanceof LeaseEnded) throw error;
    view.error = toError(error);
  }
  const duration = Math.round(environment.monotonic() - begin);
  if (view.error && job?.retry) planRetry(view, job);
  if (job && view.overrun) await keepOverrun(view, job);
  await finish(view, job);
  const { error } = view;
  if (!error) {
    if (!view.isRetried || job?.retry === undefined)
      view.notify("success", queue, parsed, view.result, duration);
    return ended(view, job, { kind: "success" });
  }
  view.notify("failure", queue, parsed, error, duration);
  return ended(view, job, failureOf(view, error));
}

function failureOf(view: JobView, error: Error): Outcome {
  const { name, queue, raw, job } = view;
  const entry = failedEntry(
    { worker: name, queue, raw },
    error,
    job.attempt ?? 1,
  );
  return { kind: "failure", entry };
}

/**
 * A process that was suspended may have lost its jobs: jobs fetched before must not start.
 * @throws LeaseEnded
 */
function checkLease({ lease }: JobView): Promise<void> | undefined {
  return lease.isSure() ? undefined : confirmLease(lease);
}

async function confirmLease(lease: JobLease): Promise<void> {
  if (!(await lease.confirm())) throw new LeaseEnded();
}

async function acquireSlot(view: JobView, limit: number): Promise<boolean> {
  const { lease, store, job, queue, raw } = view;
  const { process, worker } = lease;
  const request = {
    process,
    worker: worker!,
    class: job.class,
    limit,
    job: { queue, raw },
  };
  return (await lease.persist(() => store.acquireSlot(request))) === "acquired";
}

/** Not awaited: the job does not depend on it. */
function showRunning(view: JobView): void {
  const { job, store } = view;
  const held = heldJob(view);
  if (!held) return;
  const fields = { state: "running", attempt: job.attempt ?? 1 } as const;
  store.updateJob(held, fields).catch(() => undefined); // its report contains the outcome
}

/** Not awaited: without it, checks of the lock take longer. */
function noteUnique({ lease: { worker }, queue, raw, store }: JobView): void {
  if (!worker) return;
  store
    .noteUnique(uniqueKey(queue, raw), { worker, raw })
    .catch(() => undefined);
}

/** Plugins may change `view.error` and `view.result` after the body. */
export async function runBody(view: JobView, job: Job): Promise<void> {
  try {
    view.result = !job.timeout
      ? await job.perform.apply(view, view.job.args)
      : await runWithin(view, job, job.timeout);
  } catch (error) {
    view.error = toError(error);
  }
  if (!job.plugins || job.plugins.length === 0) return;
  try {
    await runHooks(view, "afterPerform", job, view.job);
  } catch (error) {
    if (error instanceof LeaseEnded) throw error;
    view.error = toError(error);
  }
}

/** Notify the definition of a job of the end of its run, even if a plugin dropped it. */
export async function finish(view: JobView, job?: Job): Promise<void> {
  if (!job?.finished || view.isPostponed || view.isSecond) return;
  try {
    await job.finished(view);
  } catch (error) {
    view.report(toError(error));
  }
}

/** @throws Error when this process does not define the class */
export function definitionOf(jobs: Jobs, parsed: ParsedJob): Job {
  const job = jobOf(jobs, parsed.class);
  if (!job) throw new Error(`No job defined for class "${parsed.class}"`);
  if (typeof job.perform !== "function")
    throw new Error(`Missing Job: "${parsed.class}"`);
  return job;
}

/** A body that continues after its timeout is notified by `signal`; its result is dropped. */
async function runWithin(
  view: JobView,
  job: Job,
  ms: number,
): Promise<unknown> {
  const message = `the task ${view.job.class} took longer than ${ms} ms`;
  const expiry = new ActionheroError("AH_TASK", message);
  let late!: (error: Error) => void;
  const deadline = new Promise<never>((_, reject) => (late = reject));
  const timer = view.environment.after(ms, () => {
    view.abort(message);
    late(expiry);
  });
  const run = async () =>
    (await job.perform.apply(view, view.job.args)) as unknown;
  const body = run();
  try {
    return await Promise.race([body, deadline]);
  } catch (error) {
    if (error !== expiry) throw error;
    if (job.afterTimeout === "wait") await body.catch(() => undefined);
    else view.overrun = body;
    throw error;
  } finally {
    timer.cancel();
  }
}

function planRetry(view: JobView, job: Job): void {
  const next = nextAttempt(view, job);
  if (next) view.retryLater(next.effects, next.info);
}

/** The outcome with all effects that are applied with it. */
function ended(view: JobView, job: Job | undefined, outcome: Outcome): Outcome {
  const effects = view.takeEffects();
  const { job: parsed, queue, raw } = view;
  const isOver = !view.isRetried && !view.isPostponed;
  if (job?.concurrency)
    effects.push({ do: "releaseSlot", class: parsed.class });
  if (job?.unique && isOver)
    effects.push({
      do: "unlockUnique",
      key: uniqueKey(queue, raw),
      raw,
    });
  if (job?.maxFailed && outcome.kind === "failure")
    effects.push({
      do: "boundFailed",
      class: parsed.class,
      most: job.maxFailed,
    });
  if (parsed.id)
    effects.push({ do: "updateJob", id: parsed.id, fields: finalFields(view) });
  if (view.isRetried) return { kind: "retried", effects };
  return effects.length === 0 ? outcome : withFields(outcome, { effects });
}
