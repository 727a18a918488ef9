/** Putting jobs into queues, now or for later. */
import type { Task, TaskInputs } from "./task";
import { requireTask } from "./find";
import { requireQueue } from "./queueOf";
import { validateInputs } from "./validateInputs";

/**
 * Put a task into its queue, to run as soon as a worker is free.
 * @param queue default: the task's own
 * @returns false when middleware or a plugin refused it
 * @throws Error of the inputs' checks; ActionheroError AH_TASK `task <name> not found`
 */
export async function enqueue(
  taskName: string,
  inputs?: TaskInputs,
  queue?: string,
): Promise<boolean> {
  const task = requireTask(taskName);
  const args = [await validateInputs(task, inputs)];
  return requireQueue().enqueue(queue ?? task.queue, taskName, args);
}

/**
 * Run a task at a time, or soon after.
 * @param timestamp ms since the epoch
 * @param suppressDuplicateTaskError the same job at the same second is no error, but does not come twice
 */
export async function enqueueAt(
  timestamp: number,
  taskName: string,
  inputs?: TaskInputs,
  queue?: string,
  suppressDuplicateTaskError = false,
): Promise<true | undefined> {
  const task: Task = requireTask(taskName);
  const args = [await validateInputs(task, inputs)];
  return requireQueue().enqueueAt(
    timestamp,
    queue ?? task.queue,
    taskName,
    args,
    suppressDuplicateTaskError,
  );
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
