/** Enqueues many jobs in few round trips. */
import { api } from "../api";
import type { PluginReference } from "../resque/plugin";
import { requireTask } from "./find";
import { requireQueue } from "./queueOf";
import { resumeRecurrentTask } from "./recurrent";
import { queuesOf, type JobQueue } from "./scope";
import type { Task, TaskInputs } from "./task";
import { traceSending } from "./trace";
import type { JobInputs, TaskName } from "./taskTypes";
import { validateInputs } from "./validateInputs";

/** Bundled plugins with hooks around the enqueueing. */
const ENQUEUE_PLUGINS = ["QueueLock", "DelayQueueLock"];

/**
 * Enqueue many jobs of one task, thousands in one round trip. All inputs are checked before the first job is
 * enqueued. Tasks with middleware or plugins around the enqueueing, and those that are `unique`, have it done one by one.
 * @param queue default: the task's own
 * @returns the number of enqueued jobs; middleware or plugins refused the others
 * @throws Error of the inputs' checks; ActionheroError AH_TASK `task <name> not found`
 */
export function enqueueMany<Name extends TaskName>(
  taskName: Name,
  inputsOfJobs: readonly (JobInputs<Name> | undefined)[],
  queue?: string,
): Promise<number>;
export async function enqueueMany(
  taskName: string,
  inputsOfJobs: readonly (TaskInputs | undefined)[],
  queue?: string,
): Promise<number> {
  const task = requireTask(taskName);
  const name = queue ?? task.queue;
  const sending = { task: taskName, queue: name, count: inputsOfJobs.length };
  return traceSending(sending, async () => {
    const argsOfJobs: unknown[][] = [];
    for (const inputs of inputsOfJobs)
      argsOfJobs.push([await validateInputs(task, inputs)]);

    await resumeRecurrentTask(task);
    let enqueued = 0;
    for (const jobQueue of await queuesOf(task, name))
      enqueued += await addAll(task, jobQueue, argsOfJobs);
    return enqueued;
  });
}

async function addAll(
  task: Task,
  { queue, node }: JobQueue,
  argsOfJobs: unknown[][],
): Promise<number> {
  if (!isJudgedOneByOne(task)) {
    await requireQueue().enqueueMany(queue, task.name, argsOfJobs, node);
    return argsOfJobs.length;
  }
  let enqueued = 0;
  for (const args of argsOfJobs)
    if (await requireQueue().enqueue(queue, task.name, args, node)) enqueued++;
  return enqueued;
}

function isJudgedOneByOne(task: Task): boolean {
  if (task.unique) return true;
  const { middleware, globalMiddleware, jobs } = api.tasks;
  const names = [...globalMiddleware, ...(task.middleware ?? [])];
  const judges = names.some(
    (name) =>
      Object.hasOwn(middleware, name) &&
      (middleware[name]!.preEnqueue || middleware[name]!.postEnqueue),
  );
  const plugins = jobs[task.name]?.plugins ?? [];
  return judges || plugins.some(isEnqueuePlugin);
}

function isEnqueuePlugin(plugin: PluginReference): boolean {
  if (typeof plugin === "string") return ENQUEUE_PLUGINS.includes(plugin);
  if (plugin.name === "NodeResquePlugin") return false; // middleware, looked at by its functions
  const { prototype } = plugin as { prototype: object };
  return "beforeEnqueue" in prototype || "afterEnqueue" in prototype;
}
