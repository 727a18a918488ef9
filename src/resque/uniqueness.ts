/** Jobs that are enqueued once: what makes two of them the same. */
import { createHash } from "node:crypto";
import { sortKeys } from "../utils/objects";
import { parseJob } from "./failure";
import type { QueuedJob, QueueStore, UniqueLock } from "./store/store";
import type { Job } from "./types";

/**
 * The lock of a job: of its queue, its class and its arguments. The order of the keys of an object does not count, nor do
 * metadata of the engine.
 */
export function uniqueKey(queue: string, raw: string): string {
  const { job } = parseJob(raw, queue);
  const text = JSON.stringify([queue, job.class, job.args], sortKeys);
  return createHash("sha1").update(text).digest("hex");
}

/** @returns undefined for a job that may be there several times */
export function uniqueLock(
  job: Job | undefined,
  jobClass: string,
  queue: string,
  raw: string,
): UniqueLock | undefined {
  if (!job?.unique) return undefined;
  return { key: uniqueKey(queue, raw), class: jobClass };
}

/** Release the lock of a job that failed without a report. One that remains is taken over by the next producer. */
export async function releaseUnique(
  store: QueueStore,
  job: QueuedJob,
): Promise<void> {
  const { queue, raw } = job;
  const lock = {
    key: uniqueKey(queue, raw),
    class: parseJob(raw, queue).job.class,
  };
  await store.releaseUnique(lock, job).catch(() => undefined);
}
