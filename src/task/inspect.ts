/** Inspects the queues, and removes jobs from them. */
import type { ErrorPayload, ParsedJob, WorkerActivity } from "../resque/types";
import { requireQueue, type TaskInputs } from "./task";
import { possibleArgsOf } from "./plans";
import { pausedOf } from "./scope";

/** An entry of the failed list. */
export type FailedJob = ErrorPayload;

export interface TaskDetails {
  queues: { [queue: string]: QueueDetails };
  workers: { [workerName: string]: WorkerActivity };
  stats: { [key: string]: string };
  /** The name of the leading scheduler. */
  leader: string | null;
  /** Registered workers whose process no longer exists, if any; their jobs are requeued soon. */
  orphans?: string[];
}

export interface QueueDetails {
  /** The number of jobs in the queue, including jobs waiting for a concurrency slot. */
  length: number;
  /** The number of jobs that wait for a slot, if any. */
  waiting?: number;
  /** True for a paused queue. */
  paused?: true;
}

/**
 * Remove the jobs of a task with exactly these inputs from a queue.
 * @param count how many at most; 0 for all
 * @returns how many were removed
 */
export async function del(
  q: string,
  taskName: string,
  args?: TaskInputs,
  count = 0,
): Promise<number> {
  let removed = 0;
  for (const list of possibleArgsOf(args)) {
    // a negative count removes from the other end
    const left = count - Math.sign(count) * removed;
    if (count !== 0 && left === 0) break;
    removed += await requireQueue().del(q, taskName, list, left);
  }
  return removed;
}

/**
 * Remove all jobs of a task from a queue, or from a part of it.
 * @returns how many were removed
 */
export function delByFunction(
  q: string,
  taskName: string,
  start = 0,
  stop = -1,
): Promise<number> {
  return requireQueue().delByFunction(q, taskName, start, stop);
}

/**
 * Remove the delayed jobs of a task with exactly these inputs.
 * @returns when they were due, in seconds since the epoch
 */
export function delDelayed(
  q: string,
  taskName: string,
  inputs?: TaskInputs,
): Promise<number[]> {
  return timesOf(inputs, (args) =>
    requireQueue().delDelayed(q, taskName, args),
  );
}

/** When the delayed jobs of a task with exactly these inputs are due, in seconds since the epoch. */
export function scheduledAt(
  q: string,
  taskName: string,
  inputs?: TaskInputs,
): Promise<number[]> {
  return timesOf(inputs, (args) =>
    requireQueue().scheduledAt(q, taskName, args),
  );
}

async function timesOf(
  inputs: TaskInputs | undefined,
  query: (args: unknown[]) => Promise<number[]>,
): Promise<number[]> {
  const times: number[] = [];
  for (const args of possibleArgsOf(inputs)) times.push(...(await query(args)));
  return times;
}

/** The numbers of processed and failed jobs, in total and per worker. */
export function stats(): Promise<{ [key: string]: string }> {
  return requireQueue().stats();
}

/** The jobs of a queue from index `start` to `stop`, -1 being the last. */
export function queued(q: string, start = 0, stop = -1): Promise<ParsedJob[]> {
  return requireQueue().queued(q, start, stop);
}

/** Remove a queue with its jobs. */
export function delQueue(q: string): Promise<void> {
  return requireQueue().delQueue(q);
}

/** All locks of jobs, with the second at which each ends. */
export function locks(): Promise<{ [key: string]: string }> {
  return requireQueue().locks();
}

/** Remove a lock, named as `locks()` does. */
export function delLock(lock: string): Promise<number> {
  return requireQueue().delLock(lock);
}

/** When delayed jobs are due, in ms since the epoch, earliest first. */
export function timestamps(): Promise<number[]> {
  return requireQueue().timestamps();
}

/** The jobs that are due at a time in ms; `rTimestamp` is it in seconds. */
export function delayedAt(
  timestamp: number,
): Promise<{ tasks: ParsedJob[]; rTimestamp: number }> {
  return requireQueue().delayedAt(timestamp);
}

/** All delayed jobs, by when they are due in ms. */
export function allDelayed(): Promise<{ [timestamp: string]: ParsedJob[] }> {
  return requireQueue().allDelayed();
}

/** All workers of the cluster with their queues. */
export function workers(): Promise<{ [workerName: string]: string | null }> {
  return requireQueue().workers();
}

/** The current job of a worker, as JSON; null when it waits. */
export function workingOn(
  workerName: string,
  queues: string,
): Promise<string | null> {
  return requireQueue().workingOn(workerName, queues);
}

/** The current jobs of all workers; `"started"` for idle workers. */
export function allWorkingOn(): Promise<{
  [workerName: string]: WorkerActivity;
}> {
  return requireQueue().allWorkingOn();
}

/** How many jobs are in the failed list. */
export function failedCount(): Promise<number> {
  return requireQueue().failedCount();
}

/** The failed jobs from index `start` to `stop`, oldest first. */
export function failed(start = 0, stop = -1): Promise<FailedJob[]> {
  return requireQueue().failed(start, stop);
}

/** Remove one entry, as returned by `failed`, from the failed list. */
export function removeFailed(failedJob: FailedJob): Promise<number> {
  return requireQueue().removeFailed(failedJob);
}

/**
 * Enqueue a failed job again, and remove it from the failed list.
 * @throws ActionheroError AH_TASK `This job is not in failed queue`
 */
export function retryAndRemoveFailed(failedJob: FailedJob): Promise<boolean> {
  return requireQueue().retryAndRemoveFailed(failedJob);
}

/** Requeue jobs that were running on workers of other programs when these were cleaned up. */
export function retryStuckJobs(upperLimit = Infinity): Promise<void> {
  return requireQueue().retryStuckJobs(upperLimit);
}

/**
 * Remove the workers that have been on one job for too long; their jobs go to the failed list.
 * @param age in ms
 */
export function cleanOldWorkers(
  age: number,
): Promise<{ [workerName: string]: ErrorPayload }> {
  return requireQueue().cleanOldWorkers(age);
}

/** Queues with their lengths, workers with what they do, counters, and the leading scheduler. */
export async function details(): Promise<TaskDetails> {
  const queue = requireQueue();
  const names = (await queue.queues()).sort();
  const [lengths, paused, orphans] = await Promise.all([
    queue.lengths(names),
    queue.pausedQueues(),
    queue.orphans(),
  ]);
  const queues: TaskDetails["queues"] = {};
  const pausedNames = pausedOf(names, paused);
  for (const name of names) {
    const { queued: count, waiting } = lengths[name]!;
    const entry: QueueDetails = { length: count + waiting };
    if (waiting > 0) entry.waiting = waiting;
    if (pausedNames.has(name)) entry.paused = true;
    queues[name] = entry;
  }
  const found: TaskDetails = {
    queues,
    workers: await queue.allWorkingOn(),
    stats: await queue.stats(),
    leader: await queue.leader(),
  };
  if (orphans.length > 0) found.orphans = orphans.map(({ member }) => member);
  return found;
}

/**
 * Stop all nodes from fetching jobs of a queue, those of tasks for all nodes included; enqueueing continues. It lasts until `resume`, even across restarts.
 */
export function pause(q: string): Promise<void> {
  return requireQueue().pause(q);
}

/** Let the jobs of a paused queue be fetched again. */
export function resume(q: string): Promise<void> {
  return requireQueue().resume(q);
}

/** Names of the queues that are paused. */
export function pausedQueues(): Promise<string[]> {
  return requireQueue().pausedQueues();
}
