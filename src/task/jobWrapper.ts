/** Converts a task to a job definition for workers. */
import { api } from "../api";
import { isRedisAway } from "../errors";
import type { JobView } from "../resque/jobView";
import type { PluginReference } from "../resque/plugin";
import type { Job } from "../resque/types";
import { contextOf } from "./context";
import { isStandardSchema } from "../input/standardSchema";
import { findTask } from "./find";
import { middlewarePlugin } from "./middlewarePlugin";
import { isPeriodic, keepLoadedPlan } from "./plans";
import { endRecurrentTask, enqueueRecurrentTask, isStopped } from "./recurrent";
import { parseInputs } from "./schemaInputs";
import type { Task, TaskInputs } from "./task";
import { withDefaults } from "./validateInputs";

/** One run at a time, and one job in total: prevents a recurring task from piling up. */
const PERIODIC_PLUGINS = ["JobLock", "QueueLock", "DelayQueueLock"];

/** The job of a task; the task itself stays as it is. */
export function wrapTask(task: Task): Job {
  keepLoadedPlan(task);
  const pluginOptions = { ...task.pluginOptions };
  const plugins: PluginReference[] = [...(task.plugins ?? [])];
  if (isPeriodic(task)) {
    if (!plugins.includes("JobLock"))
      pluginOptions.JobLock = { reEnqueue: false };
    for (const name of PERIODIC_PLUGINS)
      if (!plugins.includes(name)) plugins.push(name);
  }
  const next = (view: JobView) => untilAnswered(view, () => planNext(task));
  for (const name of middlewareOf(task))
    plugins.push(middlewarePlugin(name, next));
  const { retry, timeout, afterTimeout } = task;
  const { concurrency, unique, maxFailed } = task;
  return {
    plugins,
    pluginOptions,
    perform: bodyOf(task),
    finished: isPeriodic(task)
      ? (view) => untilAnswered(view, () => afterRun(task, view))
      : undefined,
    retry,
    timeout,
    afterTimeout,
    concurrency,
    unique,
    maxFailed,
  };
}

function middlewareOf(task: Task): string[] {
  const { middleware, globalMiddleware } = api.tasks;
  return [...globalMiddleware, ...(task.middleware ?? [])].filter((name) =>
    Object.hasOwn(middleware, name),
  );
}

function bodyOf(task: Task): Job["perform"] {
  return function perform(this: JobView, ...args: unknown[]) {
    return run(task, args, this);
  };
}

/**
 * Do what comes after a run; in an outage of redis as soon as that is over, while the run is this worker's own. When the worker
 * ends first, the upkeep plans the next run.
 */
async function untilAnswered(
  { lease }: JobView,
  work: () => Promise<void>,
): Promise<void> {
  const failure = await lease.persist(async () => {
    try {
      await work();
      return undefined;
    } catch (error) {
      if (isRedisAway(error)) throw error;
      return { error };
    }
  });
  if (failure) throw failure.error;
}

/** What a run that ended, well or not, means for the next one. */
async function afterRun(task: Task, view: JobView): Promise<void> {
  const hasFailed = Boolean(view.error) || view.isRetried;
  const isLast = task.reEnqueuePeriodicTaskIfException === false;
  if (hasFailed && isLast) return endRecurrentTask(task);
  // one by hand, or tried again after it was ended above, begins anew
  const isResumed =
    view.lease.worker === undefined || (isLast && (view.job.attempt ?? 1) > 1);
  if (isResumed || !(await isStopped(task.name))) await planNext(task);
}

/** If the task was removed from the code meanwhile, this run is the last. */
async function planNext(task: Task): Promise<void> {
  if (isPeriodic(task) && findTask(task.name))
    await enqueueRecurrentTask(task.name);
}

/** Jobs of other producers may have no inputs, or several; omitted ones are `null` in the queue. */
async function run(
  task: Task,
  args: unknown[],
  worker: JobView,
): Promise<unknown> {
  const [given, ...others] = args;
  const inputs = await preparedInputs(task, given);
  const call = task.run.bind(task) as (...args: unknown[]) => Promise<unknown>;
  return call(inputs ?? {}, ...others, worker, contextOf(worker));
}

/** What the schema makes of them; periodic tasks with a table of inputs get their defaults. */
async function preparedInputs(task: Task, given: unknown): Promise<unknown> {
  const { inputs } = task;
  if (isStandardSchema(inputs))
    return Object.freeze(await parseInputs(task, inputs, given as TaskInputs));
  return isPeriodic(task) ? completed(task, given) : given;
}

/** A run that was planned has only the defaults that are the same each time. */
async function completed(task: Task, given: unknown): Promise<unknown> {
  if (typeof given !== "object" || Object.keys(task.inputs ?? {}).length === 0)
    return given;
  return Object.freeze(await withDefaults(task, given ?? {}));
}
