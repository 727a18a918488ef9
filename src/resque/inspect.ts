/**
 * Reads the queue for tools: workers and their jobs, and delayed jobs.
 * Unreadable entries are shown as they are, and do not hide others.
 */
import { ActionheroError } from "../errors";
import { splitContext } from "./jobText";
import type { QueueStore } from "./store/store";
import { openRecord } from "./store/texts";
import {
  type ErrorPayload,
  type ParsedJob,
  STARTED,
  type WorkerActivity,
  type WorkingOn,
} from "./types";

/** Worker names are `host:pid+n`; what follows in a member are the queues. */
export function splitMember(member: string): {
  name: string;
  queues: string | null;
} {
  const parts = member.split(":");
  if (parts.length === 1) return { name: parts[0]!, queues: null };
  if (parts.length === 2) return { name: parts[0]!, queues: parts[1]! };
  return {
    name: parts.slice(0, 2).join(":"),
    queues: parts.slice(2).join(":"),
  };
}

/** Parse a queued job. Text that is not JSON becomes the only argument of a job without a class. */
export function readJob(raw: string, queue = ""): ParsedJob {
  try {
    const job = JSON.parse(splitContext(raw).bare) as ParsedJob | null;
    if (typeof job === "object" && job !== null) return job;
  } catch {
    // shown as it is
  }
  return { class: "", queue, args: [raw] };
}

/** An entry of the failed list; of one that is not JSON the text is shown as its error. */
export function readFailed(text: string): ErrorPayload {
  try {
    const entry = JSON.parse(text) as ErrorPayload | null;
    if (typeof entry === "object" && entry !== null) return entry;
  } catch {
    // shown as it is
  }
  return {
    worker: "",
    queue: "",
    payload: { class: "", queue: "", args: [] },
    exception: "Error",
    error: text,
    backtrace: null,
    failed_at: "",
  };
}

export async function workers(
  store: QueueStore,
): Promise<{ [name: string]: string | null }> {
  const members = await store.workers();
  return Object.fromEntries(
    members.map((member) => {
      const { name, queues } = splitMember(member);
      return [name, queues];
    }),
  );
}

export async function allWorkingOn(
  store: QueueStore,
): Promise<{ [name: string]: WorkerActivity }> {
  const result: { [name: string]: WorkerActivity } = {};
  const records = await store.records(await store.workers());
  for (const { member, record } of records) {
    const { name } = splitMember(member);
    result[name] = record === null ? STARTED : readRecord(name, record);
  }
  return result;
}

export function readRecord(worker: string, record: string): WorkingOn {
  try {
    const work = JSON.parse(record) as WorkingOn | null;
    if (typeof work === "object" && work !== null) return work;
  } catch {
    // shown as it is
  }
  const { queue = "", raw = record } = openRecord(record) ?? {};
  return { worker, queue, run_at: "", payload: readJob(raw, queue) };
}

// --- Due times of jobs: parsing of callers' values, and listings for tools.

/** The longest time that a Date can have, in ms since the epoch. */
export const MAX_MS = 8.64e15;

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
  if (!Number.isFinite(ms) || ms > MAX_MS) throw noTime(what, describe(value));
  return Math.max(Math.floor(ms), 0);
}

/** As `wholeMs`, for a wait: as one, a Date would be decades. */
export function waitMs(value: unknown): number {
  const what = "the wait of a job";
  if (value instanceof Date) throw noTime(what, "a Date");
  return wholeMs(value, what);
}

function noTime(what: string, value: string): ActionheroError {
  return new ActionheroError(
    "AH_TASK",
    `${what} must be a number of milliseconds, not ${value}`,
  );
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
