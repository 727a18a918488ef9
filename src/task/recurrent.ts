/** Tasks that run by themselves, after a time or by a calendar. */
import { Cron } from "croner";
import { api } from "../api";
import { config } from "../config/config";
import { ActionheroError, toError } from "../errors";
import { log, type ActionheroLogLevel } from "../log/log";
import { requireTask } from "./find";
import { requireQueue } from "./queueOf";
import type { Task } from "./task";

/** The arguments that a job without inputs can have. */
const NO_INPUTS = [[null], [{}], []];

/** A foreign scheduler starts jobs up to half a second early; that run must not come again, in ms. */
const EARLY_MS = 600;

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
  const due = nextRun(task);
  await removeWaiting(task, task.queue);
  await requireQueue().enqueueAt(due, task.queue, taskName, [{}], true);
  log(`re-enqueued recurrent job ${taskName}`, levelOf("reEnqueue"));
}

/**
 * Enqueue all periodic tasks: those with a `frequency` now, those with a `cron` for their next time.
 * @returns the names of those that were not there yet
 */
export async function enqueueAllRecurrentTasks(): Promise<string[]> {
  const enqueued: string[] = [];
  for (const [name, task] of Object.entries(api.tasks.tasks)) {
    if (!isPeriodic(task)) continue;
    try {
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
 * Take a periodic task out of its queue and the schedule; a run that goes on is the last.
 * @returns how many jobs were removed; undefined for a task that is not periodic
 */
export async function stopRecurrentTask(
  taskName: string,
): Promise<number | undefined> {
  const task = requireTask(taskName);
  if (!isPeriodic(task)) return undefined;
  const removed = await removeWaiting(task, task.queue);
  const queue = requireQueue();
  for (const args of NO_INPUTS)
    await queue.delLock(
      `lock:${taskName}:${task.queue}:${JSON.stringify(args)}`,
    );
  return removed;
}

async function enqueueFirst(task: Task): Promise<boolean> {
  const queue = requireQueue();
  if (task.cron === undefined)
    return queue.enqueue(task.queue, task.name, [{}]);

  const due = nextRun(task);
  const now = Date.now();
  const times: number[] = [];
  for (const args of NO_INPUTS)
    times.push(...(await queue.scheduledAt(task.queue, task.name, args)));
  // one that is overdue runs as soon as a scheduler comes to it
  if (times.some((s) => s * 1000 <= now || s * 1000 === due)) return false;
  // the expression was changed
  if (times.length > 0) await removeWaiting(task, task.queue);
  return (
    (await queue.enqueueAt(due, task.queue, task.name, [{}], true)) === true
  );
}

/** When a periodic task runs next, in ms since the epoch. */
function nextRun({ name, frequency, cron, timeZone }: Task): number {
  if (cron === undefined) return Date.now() + frequency;
  const next = new Cron(cron, { paused: true, timezone: timeZone }).nextRun(
    new Date(Date.now() + EARLY_MS),
  );
  if (!next)
    throw new ActionheroError("AH_TASK", `task ${name} has no next run`);
  return next.getTime();
}

async function removeWaiting(task: Task, queueName: string): Promise<number> {
  const queue = requireQueue();
  let removed = 0;
  for (const args of NO_INPUTS) {
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
