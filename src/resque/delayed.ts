/** Due times of jobs: parsing of callers' values, and listings for tools. */
import { ActionheroError } from "../errors";
import type { QueueStore } from "./store/store";
import type { ParsedJob } from "./types";
import { readJob } from "./inspect";

/** The longest time that a Date can have, in ms since the epoch. */
const MAX_MS = 8.64e15;

/**
 * Parses a time to whole ms: a finite number, a string that begins with one, or a Date; negative values count as 0.
 * @throws ActionheroError AH_TASK for anything else, and for a time outside the range of Date
 */
export function wholeMs(value: unknown, what: string): number {
  const ms =
    value instanceof Date
      ? value.getTime()
      : typeof value === "string"
        ? parseInt(value, 10)
        : typeof value === "number"
          ? value
          : NaN;
  if (!Number.isFinite(ms) || ms > MAX_MS)
    throw new ActionheroError(
      "AH_TASK",
      `${what} must be a number of milliseconds, not ${describe(value)}`,
    );
  return Math.max(Math.floor(ms), 0);
}

function describe(value: unknown): string {
  if (value instanceof Date) return "an invalid Date";
  if (typeof value === "string") return JSON.stringify(value.slice(0, 100));
  if (typeof value === "number") return String(value);
  return value === null ? "null" : typeof value;
}

export async function timestamps(store: QueueStore): Promise<number[]> {
  return (await store.delayedSeconds()).map((second) => second * 1000);
}

export async function delayedAt(
  store: QueueStore,
  timestampMs: number,
): Promise<{ tasks: ParsedJob[]; rTimestamp: number }> {
  const rTimestamp = Math.round(timestampMs / 1000);
  return { tasks: await jobsAt(store, rTimestamp), rTimestamp };
}

export async function allDelayed(
  store: QueueStore,
): Promise<{ [ms: string]: ParsedJob[] }> {
  const result: { [ms: string]: ParsedJob[] } = {};
  for (const ms of await timestamps(store))
    result[String(ms)] = await jobsAt(store, ms / 1000);
  return result;
}

async function jobsAt(store: QueueStore, second: number): Promise<ParsedJob[]> {
  return (await store.delayedJobs(second)).map((raw) => readJob(raw));
}
