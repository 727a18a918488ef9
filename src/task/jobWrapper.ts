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
import { nextRun } from "./recurrent";
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
  for (const name of middlewareOf(task)) plugins.push(middlewarePlugin(name));
  const { retry, timeout, afterTimeout } = task;
  const { concurrency, unique, maxFailed } = task;
  return {
    plugins,
    pluginOptions,
    perform: bodyOf(task),
    finished: isPeriodic(task) ? (view) => afterRun(task, view) : undefined,
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

/** What a run that ended, well or not, means for the next one. */
async function afterRun(task: Task, view: JobView): Promise<void> {
  // a task that was removed from the code meanwhile ends with this run
  if (!isPeriodic(task) || !findTask(task.name)) return;
  const hasFailed = Boolean(view.error) || view.isRetried;
  const isLast = task.reEnqueuePeriodicTaskIfException === false;
  if (hasFailed && isLast)
    return view.onFinish({ do: "stopTask", task: task.name });
  // one by hand, or tried again after it was ended above, begins anew
  const isResumed =
    view.lease.worker === undefined || (isLast && (view.job.attempt ?? 1) > 1);
  const effect = await untilAnswered(view, () => nextRun(task, !isResumed));
  if (effect) view.onFinish(effect);
}

/**
 * Query the store; during an outage, as soon as it is over, while the run belongs to this worker. If the worker ends first, the
 * upkeep schedules the next run.
 */
async function untilAnswered<Answer>(
  { lease }: JobView,
  query: () => Promise<Answer>,
): Promise<Answer | undefined> {
  const reply = await lease.persist(
    async (): Promise<{ answer: Answer } | { error: unknown }> => {
      try {
        return { answer: await query() };
      } catch (error) {
        if (isRedisAway(error)) throw error;
        return { error };
      }
    },
  );
  if (reply && "error" in reply) throw reply.error;
  return reply?.answer;
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
