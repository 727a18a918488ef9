/** Runs one job: its hooks, its body, its outcome, and when it runs again after a failure. */
import { ActionheroError, toError } from "../errors";
import { withFields } from "../utils/objects";
import { isThenable, waitAtMost } from "../utils/promises";
import {
  delayedText,
  encode,
  failedEntry,
  type JobMetadata,
  jobOf,
  parseJob,
  uniqueKey,
  withMetadata,
} from "./jobText";
import {
  finalFields,
  heldJob,
  type JobView,
  type JobViewClass,
  LeaseEnded,
  type RetryInfo,
} from "./jobView";
import { runHooks } from "./plugin";
import {
  type Effect,
  NO_OUTCOME,
  type Outcome,
  type QueuedJob,
} from "./store/store";
import type { Job, Jobs, ParsedJob, RetryRule } from "./types";
import type { JobLease } from "./member";

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

/**
 * Run a job that was fetched from a queue. It never rejects. Hot path: awaits only the steps that the job has, because
 * a promise costs as much as a small step.
 */
export async function runJob(view: JobView): Promise<Outcome> {
  const begin = view.environment.monotonic();
  let job: Job | undefined;
  try {
    try {
      job = jobToRun(view);
      const notRun = await (job
        ? runDefined(view, job)
        : postponeUnknown(view));
      if (notRun) return notRun;
    } catch (error) {
      if (error instanceof LeaseEnded) throw error;
      view.error = toError(error);
    }
    if (view.hasYielded()) return NO_OUTCOME;
    const duration = Math.round(view.environment.monotonic() - begin);
    if (job && hasMoreToDo(view, job)) await wrapUp(view, job);
    return conclude(view, job, duration);
  } catch (error) {
    return outcomeOf(view, error);
  } finally {
    view.close();
  }
}

function hasMoreToDo({ error, overrun }: JobView, job: Job): boolean {
  return Boolean((error && job.retry) || overrun || job.finished);
}

async function wrapUp(view: JobView, job: Job): Promise<void> {
  if (view.error && job.retry) planRetry(view, job);
  if (view.overrun) await keepOverrun(view, job);
  await finish(view, job);
}

/**
 * @returns undefined for a job that waits for a worker that defines it
 * @throws Error for one that cannot be read, or is not defined
 */
function jobToRun(view: JobView): Job | undefined {
  if (view.error) throw view.error;
  return isUnknown(view) ? undefined : definitionOf(view.jobs, view.job);
}

/** @returns the outcome if the body did not run: the job waits for a slot, or a plugin dropped it */
async function runDefined(
  view: JobView,
  job: Job,
): Promise<Outcome | undefined> {
  const { lease } = view;
  if (!lease.isSure()) await confirmLease(lease);
  // the job waits for a slot, or was already given to another worker
  if (job.concurrency && !(await acquireSlot(view, job.concurrency)))
    return NO_OUTCOME;
  if (mayOverlap(view, job)) await warnOfOverrun(view);
  announce(view, job);
  const dropped = hasPlugins(job) && (await refused(view, job));
  if (dropped) return dropped;
  for (const arg of view.job.args) freeze(arg);
  if (!lease.isSure()) await confirmLease(lease);
  await perform(view, job);
  if (hasPlugins(job)) await runAfter(view, job);
  return undefined;
}

function announce(view: JobView, job: Job): void {
  if (view.job.id) showRunning(view);
  if (job.unique) noteUnique(view);
  view.notify("job", view.queue, view.job);
}

function freeze(arg: unknown): void {
  if (typeof arg === "object" && arg !== null) Object.freeze(arg);
}

/** @returns the outcome if a plugin drops the job */
async function refused(view: JobView, job: Job): Promise<Outcome | undefined> {
  if (await runHooks(view, "beforePerform", job, view.job)) return undefined;
  await finish(view, job);
  return ended(view, job, { kind: "uncounted" });
}

/** @param job undefined if this process does not define the class */
function conclude(
  view: JobView,
  job: Job | undefined,
  duration: number,
): Outcome {
  const { job: parsed, queue, error } = view;
  if (!error) {
    if (!view.isRetried || job?.retry === undefined)
      view.notify("success", queue, parsed, view.result, duration);
    return ended(view, job, { kind: "success" });
  }
  view.notify("failure", queue, parsed, error, duration);
  return ended(view, job, failureOf(view, error));
}

/** The outcome of a job whose run could not be concluded. */
function outcomeOf(view: JobView, error: unknown): Outcome {
  if (error instanceof LeaseEnded) return NO_OUTCOME;
  return failureOf(view, toError(error));
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

/** The body with its plugins, which may change `view.error` and `view.result`. */
export async function runBody(view: JobView, job: Job): Promise<void> {
  await perform(view, job);
  if (hasPlugins(job)) await runAfter(view, job);
}

async function perform(view: JobView, job: Job): Promise<void> {
  try {
    view.result = !job.timeout
      ? ((await job.perform.apply(view, view.job.args)) as unknown)
      : await runWithin(view, job, job.timeout);
  } catch (error) {
    view.error = toError(error);
  }
}

async function runAfter(view: JobView, job: Job): Promise<void> {
  try {
    await runHooks(view, "afterPerform", job, view.job);
  } catch (error) {
    if (error instanceof LeaseEnded) throw error;
    view.error = toError(error);
  }
}

function hasPlugins({ plugins }: Job): boolean {
  return plugins !== undefined && plugins.length > 0;
}

/** Notify the definition of a job of the end of its run, even if a plugin refused it. */
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
  if (!job) throw notDefined(parsed);
  if (typeof job.perform !== "function")
    throw new Error(`Missing Job: "${parsed.class}"`);
  return job;
}

function notDefined({ class: name }: ParsedJob): Error {
  return new Error(`No job defined for class "${name}"`);
}

/** A body that continues after its timeout is notified by `signal`; its result is dropped. */
async function runWithin(
  view: JobView,
  job: Job,
  ms: number,
): Promise<unknown> {
  const run = async () =>
    (await job.perform.apply(view, view.job.args)) as unknown;
  const body = run();
  if (await waitAtMost(ms, body, view.environment)) return body;
  const message = `the task ${view.job.class} took longer than ${ms} ms`;
  view.abort(message);
  if (job.afterTimeout === "wait") await body.catch(() => undefined);
  else view.overrun = body;
  throw new ActionheroError("AH_TASK", message);
}

function planRetry(view: JobView, job: Job): void {
  if (!isWorthRetrying(view, job)) return;
  const next = nextAttempt(view, job);
  if (next) view.retryLater(next.effects, next.info);
}

/** A predicate that throws or returns a promise counts as true; `attempts` still limits the retries. */
function isWorthRetrying(view: JobView, { retry }: Job): boolean {
  if (retry?.if === undefined) return true;
  try {
    const verdict: unknown = retry.if(view.error!);
    if (!isThenable(verdict)) return Boolean(verdict);
    // its rejection must not end the process
    Promise.resolve(verdict).catch(() => undefined);
    throw new Error(
      `retry.if of the task ${view.job.class} must return a boolean, not a promise`,
    );
  } catch (error) {
    view.report(toError(error));
    return true;
  }
}

/** The outcome with all effects that are applied with it. */
function ended(view: JobView, job: Job | undefined, outcome: Outcome): Outcome {
  const { id } = view.job;
  const effects = view.takeEffects();
  if (job) effects.push(...settingsEffects(view, job, outcome));
  if (id) effects.push({ do: "updateJob", id, fields: finalFields(view) });
  if (view.isRetried) return { kind: "retried", effects };
  return effects.length === 0 ? outcome : withFields(outcome, { effects });
}

/** The effects that the settings of a task require at the end of a run. */
function settingsEffects(
  { job: { class: name }, queue, raw, isRetried, isPostponed }: JobView,
  { concurrency, unique, maxFailed }: Job,
  { kind }: Outcome,
): Effect[] {
  const effects: Effect[] = [];
  if (concurrency) effects.push({ do: "releaseSlot", class: name });
  if (unique && !isRetried && !isPostponed)
    effects.push({ do: "unlockUnique", key: uniqueKey(queue, raw), raw });
  if (maxFailed && kind === "failure")
    effects.push({ do: "boundFailed", class: name, most: maxFailed });
  return effects;
}

// --- Tracks runs that continue after their `timeout`, and runs that start in parallel to them.

/** How long a run beyond its `timeout` is recorded, while its worker is registered, in s. */
const KNOWN_SECONDS = 86_400;

/** Whether an earlier run may still be running: this is a further attempt, or a run of a recurring task. */
function mayOverlap({ job }: JobView, definition: Job): boolean {
  const { timeout, afterTimeout, finished } = definition;
  if (!timeout || afterTimeout === "wait") return false;
  return (job.attempt ?? 1) > 1 || finished !== undefined;
}

/** Record until its end that a timed-out run continues, if the job will run again. */
async function keepOverrun(view: JobView, job: Job): Promise<void> {
  const { overrun, lease, store } = view;
  if (!overrun || !(view.isRetried || job.finished)) return;
  const { worker } = lease;
  const lock = await lease.persist(() =>
    store.takeLock({ key: keyOf(view), seconds: KNOWN_SECONDS, worker }),
  );
  if (!lock) return;
  const release = () => {
    // it ends with its worker in any case
    store.releaseLock(lock, worker).catch(() => undefined);
  };
  overrun.then(release, release);
}

/** Warns when an earlier run of the job has not ended yet. */
async function warnOfOverrun(view: JobView): Promise<void> {
  const { lease, store } = view;
  const key = keyOf(view);
  const reply = await lease.persist(async () => ({
    lock: await store.takeLock({ key, seconds: 1 }),
  }));
  if (!reply) return;
  const { lock } = reply;
  // released at once, so that the next attempt, or this one after its own timeout, finds no lock
  if (lock) await lease.persist(() => store.releaseLock(lock));
  else view.notify("overlap", view.queue, view.job);
}

function keyOf({ connection, queue, raw }: JobView): string {
  return connection.key("ah", "overrun", uniqueKey(queue, raw));
}

// --- Jobs that this process does not define: in a rolling deployment, another worker may.

const TIMEOUT_MS = 600_000;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 15_000;

/** Whether this process does not define the job's class and unknown jobs wait for a worker that does. */
function isUnknown({ options, jobs, job, raw }: JobView): boolean {
  if (options.unknownJobs !== "wait" || jobOf(jobs, job.class)) return false;
  // a number or a list is no job
  return raw.trimStart().startsWith("{");
}

/**
 * Let a job wait for a worker that defines it.
 * @throws LeaseEnded; Error when it has waited for too long
 */
async function postponeUnknown(view: JobView): Promise<Outcome> {
  const { options, store, job, queue } = view;
  // the same text in each of its waits, which are one
  const raw = delayedText(view);
  const { unknownJobTimeout: timeoutMs = TIMEOUT_MS } = options;
  const ms = await view.persist(() =>
    store.waitUnknown({ queue, raw }, timeoutMs),
  );
  if (ms === undefined) throw notDefined(job);
  view.notify("unknown", queue, job, ms);
  const inMs = Math.min(
    Math.max(Math.round(ms / 4), FIRST_WAIT_MS),
    LONGEST_WAIT_MS,
    timeoutMs - ms,
  );
  const effects: Effect[] = [{ do: "delay", queue, raw, due: { inMs } }];
  if (job.id)
    effects.push({ do: "updateJob", id: job.id, fields: { state: "delayed" } });
  return { kind: "uncounted", effects };
}

// --- When a failed job with `retry` runs again.

const DELAY_MS = 1000;
const MAX_DELAY_MS = 3_600_000;

/** @returns undefined when there is no attempt left */
function nextAttempt(
  view: JobView,
  { retry, unique }: Job,
): { effects: Effect[]; info: RetryInfo } | undefined {
  const { job: parsed, environment } = view;
  const attempt = parsed.attempt ?? 1;
  if (!retry || !(attempt < retry.attempts)) return undefined;
  const delay = delayBefore(retry, attempt, () => environment.random());
  const metadata: JobMetadata = { attempt: attempt + 1 };
  // without it two jobs alike would be one in the bucket of a second
  if (parsed.id) metadata.id = parsed.id;
  else metadata.salt = environment.token(4);
  if (parsed.requestId) metadata.request = parsed.requestId;
  if (parsed.traceparent) metadata.trace = parsed.traceparent;
  // hooks may have changed the arguments of this run
  const { args, queue } = parseJob(view.raw, view.queue).job;
  const raw = encode(queue, parsed.class, withMetadata(args, metadata));
  const effects: Effect[] = [{ do: "delay", queue, raw, due: { inMs: delay } }];
  if (unique)
    effects.push({
      do: "moveUnique",
      key: uniqueKey(queue, raw),
      raw,
    });
  const { attempts } = retry;
  const remainingAttempts = attempts - attempt;
  const err = view.error!;
  return {
    effects,
    info: { delay, remainingAttempts, err, attempt, attempts },
  };
}

/** The wait after attempt number `attempt`, in ms. */
export function delayBefore(
  rule: RetryRule,
  attempt: number,
  random: () => number,
): number {
  const { backoff = "exponential", delay = DELAY_MS } = rule;
  const full = Array.isArray(backoff)
    ? (backoff[Math.min(attempt, backoff.length) - 1] ?? delay)
    : backoff === "fixed"
      ? delay
      : delay * 2 ** (attempt - 1);
  const bounded = Math.min(full, rule.maxDelay ?? MAX_DELAY_MS);
  const jitter = rule.jitter === true ? 0.5 : Number(rule.jitter ?? 0);
  return Math.round(bounded * (1 - jitter * random()));
}
