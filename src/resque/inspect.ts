/** What tools show: jobs, workers and what they do. Whatever is unreadable is shown as such and hides nothing else. */
import { openRecord } from "./store/texts";
import type { QueueStore } from "./store/store";
import {
  STARTED,
  type ErrorPayload,
  type ParsedJob,
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

/** A job as it lies in a queue; the text of one that is not JSON is its only argument, and it has no class. */
export function readJob(raw: string, queue = ""): ParsedJob {
  try {
    const job = JSON.parse(raw) as ParsedJob | null;
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

function readRecord(worker: string, record: string): WorkingOn {
  try {
    const work = JSON.parse(record) as WorkingOn | null;
    if (typeof work === "object" && work !== null) return work;
  } catch {
    // shown as it is
  }
  const { queue = "", raw = record } = openRecord(record) ?? {};
  return { worker, queue, run_at: "", payload: readJob(raw, queue) };
}
