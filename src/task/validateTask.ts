/** The checks of a task's own definition. */
import { nextCronTime } from "./cronTimes";
import type { Task } from "./task";
import { MAX_TIMER_MS } from "../utils/timers";

/** Slots of a limit are looked through one by one. */
const MOST_CONCURRENT = 1000;

/** @throws Error naming what is missing or wrong */
export function validateTask(task: Task): void {
  const { name } = task;
  if (!name) throw new Error("name is required for this task");
  const of = `for the task \`${name}\``;
  if (!task.description) throw new Error(`description is required ${of}`);
  if (!task.queue) throw new Error(`queue is required ${of}`);
  if (task.frequency === undefined || task.frequency === null)
    throw new Error(`frequency is required ${of}`);
  if (Number.isNaN(Number(task.frequency)))
    throw new Error(`frequency must be a number of ms ${of}`);
  if (typeof task.run !== "function")
    throw new Error(`task \`${name}\` has no run method`);
  checkCron(task, of);
  checkRetry(task, of);
  checkNumber(task.timeout, "timeout", of, [1, MAX_TIMER_MS]);
  checkNumber(task.concurrency, "concurrency", of, [1, MOST_CONCURRENT]);
  checkNumber(task.maxFailed, "maxFailed", of, [0, Infinity]);
  if (task.priority !== undefined && !Number.isFinite(task.priority))
    throw new Error(`priority must be a number ${of}`);
  if (!["leave", "wait", undefined].includes(task.afterTimeout))
    throw new Error(`afterTimeout must be "leave" or "wait" ${of}`);
  if (!["any", "all", undefined].includes(task.scope))
    throw new Error(`scope must be "any" or "all" ${of}`);
}

function checkCron({ cron, timeZone, frequency }: Task, of: string): void {
  if (cron === undefined) return;
  if (frequency! > 0)
    throw new Error(`frequency and cron exclude each other ${of}`);
  try {
    nextCronTime(cron, timeZone, Date.now());
  } catch (error) {
    throw new Error(`cron is not valid ${of}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function checkRetry({ retry }: Task, of: string): void {
  if (retry === undefined) return;
  checkNumber(retry.attempts ?? 0, "retry.attempts", of, [1, Infinity]);
  checkNumber(retry.delay, "retry.delay", of, [0, Infinity]);
  checkNumber(retry.maxDelay, "retry.maxDelay", of, [0, Infinity]);
  if (typeof retry.jitter !== "boolean")
    checkNumber(retry.jitter, "retry.jitter", of, [0, 1]);
  const { backoff } = retry;
  const isList =
    Array.isArray(backoff) &&
    backoff.length > 0 &&
    backoff.every((ms) => Number.isFinite(ms) && ms >= 0);
  if (
    !isList &&
    !["exponential", "fixed", undefined].includes(backoff as string)
  )
    throw new Error(
      `retry.backoff must be "exponential", "fixed" or a list of ms ${of}`,
    );
}

function checkNumber(
  value: number | undefined,
  property: string,
  of: string,
  [least, most]: [least: number, most: number],
): void {
  if (value === undefined) return;
  const isWhole = Number.isInteger(value) || property === "retry.jitter";
  if (!isWhole || value < least || value > most)
    throw new Error(
      `${property} must be ${property === "retry.jitter" ? "a number" : "a whole number"} from ${least}` +
        `${most === Infinity ? "" : ` to ${most}`} ${of}`,
    );
}
