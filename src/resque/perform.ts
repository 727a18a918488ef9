/** Runs one job: hooks, body, and what becomes of it. */
import type { Connection } from "./connection";
import { ActionheroError, toError } from "../errors";
import { jobOf } from "./encode";
import { failedEntry, parseJob } from "./failure";
import { runHooks } from "./pluginRunner";
import { nextAttempt } from "./retry";
import { takePlace } from "./steps/limit";
import type { Command } from "./steps/lua";
import { NO_OUTCOME, type Outcome } from "./steps/take";
import { changeCommands, tellRunning } from "./tracking";
import type { Job, Jobs, ParsedJob } from "./types";
import { unlockCommands } from "./uniqueness";
import type { Worker } from "./worker";

const SUCCESS: Outcome = { kind: "success" };

export async function performJob(
  worker: Worker,
  queue: string,
  raw: string,
): Promise<Outcome> {
  const begin = performance.now();
  const parsed = parseJob(raw, queue);
  worker.begin(queue, parsed, raw);
  let job: Job | undefined;
  try {
    job = definitionOf(worker.jobs, parsed);
    if (job.concurrency) {
      // the job waits elsewhere, or was given to another worker already
      if (!(await takePlace(worker, job.concurrency, parsed, raw)))
        return NO_OUTCOME;
    }
    if (parsed.id) tellRunning(worker.connection, parsed, worker);
    worker.tell("job", queue, parsed);
    if (!(await runHooks(worker, "beforePerform", job, parsed)))
      return ended(worker, job, parsed, { kind: "uncounted" });
    for (const arg of parsed.args)
      if (typeof arg === "object" && arg !== null) Object.freeze(arg);
    await runBody(worker, job, parsed);
  } catch (error) {
    worker.error = toError(error);
  }
  const duration = Math.round(performance.now() - begin);
  if (worker.error && job?.retry) planRetry(worker, job, parsed);
  const { error } = worker;
  if (!error) {
    if (!worker.isRetried || job?.retry === undefined)
      worker.tell("success", queue, parsed, worker.result, duration);
    return ended(worker, job, parsed, SUCCESS);
  }
  worker.tell("failure", queue, parsed, error, duration);
  return ended(worker, job, parsed, {
    kind: "failure",
    payload: failedEntry(worker.name, queue, raw, error, parsed.attempt ?? 1),
  });
}

/** Plugins may change `worker.error` and `worker.result` after the body. */
export async function runBody(
  worker: Worker,
  job: Job,
  parsed: ParsedJob,
): Promise<void> {
  try {
    worker.result = !job.timeout
      ? await job.perform.apply(worker, parsed.args)
      : await runWithin(worker, job, job.timeout, parsed);
  } catch (error) {
    worker.error = toError(error);
  }
  if (!job.plugins || job.plugins.length === 0) return;
  try {
    await runHooks(worker, "afterPerform", job, parsed);
  } catch (error) {
    worker.error = toError(error);
  }
}

/** @throws Error when nobody defines the class */
export function definitionOf(jobs: Jobs, parsed: ParsedJob): Job {
  const job = jobOf(jobs, parsed.class);
  if (!job) throw new Error(`No job defined for class "${parsed.class}"`);
  if (typeof job.perform !== "function")
    throw new Error(`Missing Job: "${parsed.class}"`);
  return job;
}

/** A body that runs on after its time is told so by `worker.signal`; its result is not waited for. */
async function runWithin(
  worker: Worker,
  job: Job,
  ms: number,
  parsed: ParsedJob,
): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message = `the task ${parsed.class} took longer than ${ms} ms`;
      worker.abort(message);
      reject(new ActionheroError("AH_TASK", message));
    }, ms);
  });
  const run = async () =>
    (await job.perform.apply(worker, parsed.args)) as unknown;
  try {
    return await Promise.race([run(), late]);
  } finally {
    clearTimeout(timer);
  }
}

function planRetry(worker: Worker, job: Job, parsed: ParsedJob): void {
  const next = nextAttempt(worker, job, parsed);
  if (next) worker.retryLater(next.commands, next.info);
}

function boundCommand(
  connection: Connection,
  jobClass: string,
  most: number,
): Command {
  const own = connection.key("ah:failed", jobClass);
  return ["AH.BOUND", connection.key("failed"), own, most];
}

/** The outcome with everything that holds together with it. */
function ended(
  worker: Worker,
  job: Job | undefined,
  parsed: ParsedJob,
  outcome: Outcome,
): Outcome {
  const commands: Command[] = worker.takeEnding();
  const { connection } = worker;
  const isOver = !worker.isRetried && !worker.isPutOff;
  if (job?.concurrency)
    commands.push(["AH.RELEASE", parsed.class, worker.member]);
  if (job?.unique && isOver)
    commands.push(...unlockCommands(connection, worker.queue, worker.raw));
  if (job?.maxFailed && outcome.kind === "failure")
    commands.push(boundCommand(connection, parsed.class, job.maxFailed));
  if (parsed.id) commands.push(...changeCommands(connection, parsed, worker));
  if (worker.isRetried) return { kind: "retried", commands };
  return commands.length === 0 ? outcome : { ...outcome, commands };
}
