/** The exported `task`: enqueueing, recurring tasks, looking into the queues, and running without a queue. */
import { api } from "../api";
import { continueContext } from "../context/context";
import { Worker } from "../resque/worker";
import {
  requireTask,
  type RunTaskArguments,
  type TaskInputs,
  type TaskName,
  type TaskResult,
} from "./task";
import { traceTask } from "./report";
import { validateInputs } from "./validateInputs";

export { addMiddleware, type TaskMiddleware } from "./registry";
export {
  enqueue,
  enqueueAt,
  enqueueIn,
  enqueueJob,
  enqueueMany,
  job,
  type EnqueueOptions,
} from "./enqueue";
export type { JobInfo } from "../resque/types";
export {
  enqueueAllRecurrentTasks,
  enqueueRecurrentTask,
  stopRecurrentTask,
} from "./recurrent";
export {
  allDelayed,
  allWorkingOn,
  cleanOldWorkers,
  del,
  delayedAt,
  delByFunction,
  delDelayed,
  delLock,
  delQueue,
  details,
  failed,
  failedCount,
  locks,
  pause,
  pausedQueues,
  queued,
  removeFailed,
  resume,
  retryAndRemoveFailed,
  retryStuckJobs,
  scheduledAt,
  stats,
  timestamps,
  workers,
  workingOn,
  type FailedJob,
  type TaskDetails,
} from "./inspect";

/**
 * Run a task at once in this process: its inputs are checked, its middleware and plugins run, no queue is involved.
 * @returns the result of the task; undefined when middleware or a plugin refused it
 * @throws the error of the task; ActionheroError AH_TASK `task <name> not found`
 */
export function run<Result = void, Name extends TaskName = TaskName>(
  taskName: Name,
  ...args: RunTaskArguments<Result, Name>
): Promise<TaskResult<Result, Name>>;
export async function run(
  taskName: string,
  inputs?: TaskInputs,
): Promise<unknown> {
  const task = requireTask(taskName);
  const args = [await validateInputs(task, inputs, false)];
  const { connectionDetails } = api.resque;
  const worker = new Worker(
    { connection: connectionDetails, queues: [task.queue] },
    api.tasks.jobs,
  );
  try {
    await worker.connect();
    return await continueContext({ task: taskName }, () =>
      traceTask(
        taskName,
        () => worker.performInline(taskName, args) as Promise<unknown>,
      ),
    );
  } finally {
    await worker.end();
  }
}
