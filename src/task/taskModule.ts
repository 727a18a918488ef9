/** The exported `task`: enqueueing, periodic tasks, and looking into the queues. */
export { addMiddleware, type TaskMiddleware } from "./middleware";
export {
  enqueue,
  enqueueAt,
  enqueueIn,
  enqueueJob,
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
export { enqueueMany } from "./enqueue";
export { run } from "./run";
