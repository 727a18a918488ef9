/** Runs one job: hooks, body, and what becomes of it. */
import { toError } from "../errors";
import { failedEntry, parseJob } from "./failure";
import { runHooks } from "./pluginRunner";
import { jobOf } from "./queue";
import type { Outcome } from "./steps/take";
import type { Job, Jobs, ParsedJob } from "./types";
import type { Worker } from "./worker";

export async function performJob(
  worker: Worker,
  queue: string,
  raw: string,
): Promise<Outcome> {
  const begin = Date.now();
  worker.working = true;
  worker.queue = queue;
  worker.result = null;
  worker.error = null;
  const parsed = parseJob(raw, queue);
  worker.job = parsed;
  try {
    const job = definitionOf(worker.jobs, parsed);
    worker.tell("job", queue, parsed);
    if (!(await runHooks(worker, "beforePerform", job, parsed)))
      return { kind: "uncounted" };
    for (const arg of parsed.args)
      if (typeof arg === "object" && arg !== null) Object.freeze(arg);
    await runBody(worker, job, parsed);
  } catch (error) {
    worker.error = toError(error);
  }
  const duration = Date.now() - begin;
  const error = worker.error;
  if (error) {
    worker.tell("failure", queue, parsed, error, duration);
    return {
      kind: "failure",
      payload: failedEntry(worker.name, queue, raw, error),
    };
  }
  worker.tell("success", queue, parsed, worker.result, duration);
  return { kind: "success" };
}

/** Plugins may change `worker.error` and `worker.result` after the body. */
export async function runBody(
  worker: Worker,
  job: Job,
  parsed: ParsedJob,
): Promise<void> {
  try {
    worker.result = await job.perform.apply(worker, parsed.args);
  } catch (error) {
    worker.error = toError(error);
  }
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
