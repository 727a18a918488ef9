/** Finding a loaded task. */
import { api } from "../api";
import { ActionheroError } from "../errors";
import type { Queue } from "../resque/queue";
import type { Task } from "./task";

/** A loaded task by its name; names like `constructor` do not match. */
export function findTask(taskName: string): Task | undefined {
  const { tasks } = api.tasks;
  return Object.hasOwn(tasks, taskName) ? tasks[taskName] : undefined;
}

export function taskNotFound(taskName: string): ActionheroError {
  return new ActionheroError("AH_TASK", `task ${taskName} not found`);
}

/** @throws ActionheroError AH_TASK `task <name> not found` */
export function requireTask(taskName: string): Task {
  const task = findTask(taskName);
  if (!task) throw taskNotFound(taskName);
  return task;
}

// --- The connected queue.

/** @throws ActionheroError AH_TASK before the server was initialized and after it stopped */
export function requireQueue(): Queue {
  const queue = api.resque?.queue;
  if (!queue)
    throw new ActionheroError("AH_TASK", "the task queue is not connected");
  return queue;
}
