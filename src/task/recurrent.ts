/** Tasks that run by themselves, after a time or by a calendar. */
import { api } from "../api";
import { config } from "../config/config";
import { toError } from "../errors";
import { log, type ActionheroLogLevel } from "../log/log";
import { nextCronTime } from "./cronTimes";
import { requireTask } from "./find";
import { announceNode } from "./presence";
import { requireQueue } from "./queueOf";
import { ownQueue, ownQueues } from "./scope";
import type { Task, TaskInputs } from "./task";
import { fixedDefaults } from "./validateInputs";

/** The arguments that a job without inputs can have. */
const NO_INPUTS = [[null], [{}], []];

/** The arguments of a planned run: those of `task.enqueue(name, {})`, so that both are one job to the locks. */
function plannedArgs(task: Task): [TaskInputs] {
  return [fixedDefaults(task)];
}

/** The arguments that a run without inputs of its own can have. */
export function argsOfRuns(task: Task): unknown[][] {
  const planned = plannedArgs(task);
  const hasDefaults = Object.keys(planned[0]).length > 0;
  return hasDefaults ? [planned, ...NO_INPUTS] : NO_INPUTS;
}

export function isPeriodic(task: Task): boolean {
  return task.frequency > 0 || task.cron !== undefined;
}

/**
 * Schedule the next run of a periodic task, instead of any other that waits.
 * @throws ActionheroError AH_TASK `task <name> not found`
 */
export async function enqueueRecurrentTask(taskName: string): Promise<void> {
  const task = requireTask(taskName);
  if (!isPeriodic(task)) return;
  const queue = requireQueue();
  const name = ownQueue(task);
  const due = await nextCronRun(task);
  if (due === "never") return warnOfNoRun(task);
  await removeWaiting(task);
  if (due === undefined)
    await queue.enqueueIn(
      task.frequency,
      name,
      taskName,
      plannedArgs(task),
      true,
    );
  else await queue.enqueueAt(due, name, taskName, plannedArgs(task), true);
  await markStopped(task, false);
  log(`re-enqueued recurrent job ${taskName}`, levelOf("reEnqueue"));
}

/**
 * Enqueue all periodic tasks: those with a `frequency` now, those with a `cron` for their next time; those for all nodes
 * only when this one works.
 * @returns the names of those that were not there yet
 */
export function enqueueAllRecurrentTasks(): Promise<string[]> {
  return enqueuePeriodic(false);
}

/** What a node does when it starts: as a scheduler all of them, as a worker its own runs of those for all nodes. */
export async function startRecurrentTasks(): Promise<void> {
  const isScheduler = config.tasks?.scheduler === true;
  if (isScheduler || isWorking()) await enqueuePeriodic(!isScheduler);
}

export function isWorking(): boolean {
  return api.resque.multiWorker?.running === true;
}

async function enqueuePeriodic(onlyOwn: boolean): Promise<string[]> {
  // a queue of this node is its own before the first job is there
  if (isWorking() && ownQueues().length > 0) await announceNode(ownQueues());
  const enqueued: string[] = [];
  for (const [name, task] of Object.entries(api.tasks.tasks)) {
    if (!isPeriodic(task)) continue;
    if (task.scope === "all" && !isWorking()) continue;
    if (task.scope !== "all" && onlyOwn) continue;
    try {
      await markStopped(task, false);
      if ((await nextCronRun(task)) === "never") {
        warnOfNoRun(task);
        continue;
      }
      if (!(await enqueueFirst(task))) continue;
      log(`enqueuing periodic task: ${name}`, levelOf("enqueue"));
      enqueued.push(name);
    } catch (thrown) {
      const error = toError(thrown);
      if (!/already enqueued at this time/.test(error.message)) throw error;
      log(`not enqueuing periodic task ${name} - ${String(error)}`, "warning");
    }
  }
  return enqueued;
}

/**
 * Take a periodic task out of its queue and the schedule. A run that goes on is the last one; the next start of a scheduler, or
 * a job that is enqueued by hand, begins anew.
 * @returns how many jobs were removed; undefined for a task that is not periodic
 */
export async function stopRecurrentTask(
  taskName: string,
): Promise<number | undefined> {
  const task = requireTask(taskName);
  if (!isPeriodic(task)) return undefined;
  await markStopped(task, true);
  const removed = await removeWaiting(task);
  const queue = requireQueue();
  for (const args of argsOfRuns(task))
    await queue.delLock(
      `lock:${taskName}:${ownQueue(task)}:${JSON.stringify(args)}`,
    );
  return removed;
}

/** Whether `stopRecurrentTask` was the last word about it. */
export function isStopped(taskName: string): Promise<boolean> {
  return requireQueue().connection.store.isStopped(taskName);
}

/** A run was the last one: nobody is to take the task for lost. */
export async function endRecurrentTask(task: Task): Promise<void> {
  await markStopped(task, true);
}

/** A job that is enqueued by hand plans the next one, also after `stopRecurrentTask`. */
export async function resumeRecurrentTask(task: Task): Promise<void> {
  if (isPeriodic(task)) await markStopped(task, false);
}

async function markStopped({ name }: Task, isStopped: boolean): Promise<void> {
  await requireQueue().connection.store.markStopped(name, isStopped);
}

/** @returns false when it was there */
export async function enqueueFirst(task: Task): Promise<boolean> {
  const queue = requireQueue();
  const queueName = ownQueue(task);
  const due = await nextCronRun(task);
  if (due === undefined)
    return queue.enqueue(queueName, task.name, plannedArgs(task));
  if (due === "never") return false;

  const times: number[] = [];
  for (const args of argsOfRuns(task))
    times.push(...(await queue.scheduledAt(queueName, task.name, args)));
  // one that is overdue runs as soon as a scheduler comes to it
  const now = await queue.connection.store.now();
  if (times.some((s) => s * 1000 <= now || s * 1000 === due)) return false;
  // the expression was changed
  if (times.length > 0) await removeWaiting(task);
  return (
    (await queue.enqueueAt(
      due,
      queueName,
      task.name,
      plannedArgs(task),
      true,
    )) === true
  );
}

/**
 * When a task with a `cron` runs next by the clock of the store, in ms since the epoch.
 * @returns undefined for one without a `cron`, "never" when its expression has no time to come
 */
async function nextCronRun({
  cron,
  timeZone,
}: Task): Promise<number | "never" | undefined> {
  if (cron === undefined) return undefined;
  const now = await requireQueue().connection.store.now();
  return nextCronTime(cron, timeZone, now) ?? "never";
}

function warnOfNoRun({ name, cron }: Task): void {
  log(`task ${name} is not planned: "${cron}" has no next time`, "warning");
}

async function removeWaiting(task: Task): Promise<number> {
  const queue = requireQueue();
  const queueName = ownQueue(task);
  let removed = 0;
  for (const args of argsOfRuns(task)) {
    removed += await queue.del(queueName, task.name, args);
    removed += (await queue.delDelayed(queueName, task.name, args)).length;
  }
  return removed;
}

function levelOf(key: "enqueue" | "reEnqueue"): ActionheroLogLevel | undefined {
  const levels = config.tasks?.schedulerLogging as
    Partial<Record<string, ActionheroLogLevel>> | undefined;
  return levels?.[key];
}
