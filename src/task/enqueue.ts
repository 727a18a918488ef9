/** Putting jobs into queues, now or for later. */
import type { JobInfo } from "../resque/types";
import { ActionheroError } from "../errors";
import { requireTask } from "./find";
import { requireQueue } from "./queueOf";
import { queuesOf } from "./scope";
import type { TaskInputs } from "./task";
import { validateInputs } from "./validateInputs";

/**
 * Put a task into its queue, to run as soon as a worker is free.
 * @param queue default: the task's own
 * @returns false when middleware or a plugin refused it, or the task is `unique` and there
 * @throws Error of the inputs' checks; ActionheroError AH_TASK `task <name> not found`
 */
export async function enqueue(
  taskName: string,
  inputs?: TaskInputs,
  queue?: string,
): Promise<boolean> {
  const task = requireTask(taskName);
  const args = [await validateInputs(task, inputs)];
  const name = queue ?? task.queue;
  if (task.scope !== "all") return requireQueue().enqueue(name, taskName, args);

  let isEnqueued = false;
  for (const nodeQueue of await queuesOf(task, name)) {
    const isAdded = await requireQueue().enqueue(nodeQueue, taskName, args);
    isEnqueued ||= isAdded;
  }
  return isEnqueued;
}

/**
 * Run a task at a time, or soon after.
 * @param timestamp ms since the epoch
 * @param suppressDuplicateTaskError the same job at the same second is no error, but does not come twice
 * @returns undefined when the job is there, and that is no error
 */
export async function enqueueAt(
  timestamp: number,
  taskName: string,
  inputs?: TaskInputs,
  queue?: string,
  suppressDuplicateTaskError = false,
): Promise<true | undefined> {
  const task = requireTask(taskName);
  const args = [await validateInputs(task, inputs)];
  let isEnqueued: true | undefined;
  for (const name of await queuesOf(task, queue ?? task.queue)) {
    const isAdded = await requireQueue().enqueueAt(
      timestamp,
      name,
      taskName,
      args,
      suppressDuplicateTaskError,
    );
    isEnqueued ??= isAdded;
  }
  return isEnqueued;
}

/**
 * Run a task after a time.
 * @param time ms from now
 */
export function enqueueIn(
  time: number,
  taskName: string,
  inputs?: TaskInputs,
  queue?: string,
  suppressDuplicateTaskError = false,
): Promise<true | undefined> {
  return enqueueAt(
    Date.now() + parseInt(String(time), 10),
    taskName,
    inputs,
    queue,
    suppressDuplicateTaskError,
  );
}

export interface EnqueueOptions {
  /** Default: the task's own. */
  queue?: string;
  /** When to run it, in ms since the epoch (default: now). */
  at?: number;
  /** How long to wait before it runs, in ms. */
  in?: number;
}

/**
 * Enqueue a job that `job(id)` can tell about: how far it is, how it ended, and with what result.
 * @returns its id; undefined when middleware or a plugin refused it, or the task is `unique` and there
 * @throws Error of the inputs' checks; ActionheroError AH_TASK `task <name> not found`, or for a task of all nodes
 */
export async function enqueueJob(
  taskName: string,
  inputs?: TaskInputs,
  options: EnqueueOptions = {},
): Promise<string | undefined> {
  const task = requireTask(taskName);
  if (task.scope === "all")
    throw new ActionheroError(
      "AH_TASK",
      `task ${taskName} runs on all nodes: it has no single job`,
    );
  const args = [await validateInputs(task, inputs)];
  const due =
    options.in === undefined ? options.at : Date.now() + Number(options.in);
  return requireQueue().enqueueTracked(
    options.queue ?? task.queue,
    taskName,
    args,
    due,
  );
}

/** What is known about a job of `enqueueJob`, for a day after its last change. */
export function job(id: string): Promise<JobInfo | undefined> {
  return requireQueue().job(id);
}
