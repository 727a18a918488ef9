/** Changes the queue for tools: retries or removes failed jobs, and cleans up after workers of other programs. */
import * as os from "node:os";
import { ActionheroError } from "../errors";
import {
  encode,
  type JobContext,
  jobOf,
  openArgs,
  releaseUnique,
  uniqueLock,
  withContext,
  withMetadata,
} from "./jobText";
import { runHooks } from "./plugin";
import type { Queue } from "./queue";
import type { QueueStore, WorkerRecord } from "./store/store";
import { openRecord } from "./store/texts";
import type { ErrorPayload, WorkingOn } from "./types";
import { splitMember, readFailed, workers, readRecord } from "./inspect";

/** How far the failed list is searched for an entry that was written differently. */
const SEARCH_LENGTH = 10_000;
const FAILED_PAGE = 500;

export async function retryFailed(
  host: Queue,
  failedJob: ErrorPayload,
): Promise<boolean> {
  const { store } = host.connection;
  const { queue, payload } = failedJob;
  const { args, metadata } = openArgs(payload.args);
  const { id, request, trace } = metadata ?? {};
  const list = id ? withMetadata(args, { id, request, trace }) : args;
  const job = jobOf(host.jobs, payload.class);
  const parsed = { class: payload.class, queue, args };
  const bare = encode(queue, payload.class, list);
  const context = id ? undefined : contextOf(payload, { request, trace });
  const raw = context ? withContext(bare, context) : bare;
  if (!(await runHooks(host, "beforeEnqueue", job, parsed))) return false;
  const unique = uniqueLock(job, payload.class, queue, raw);
  const retry = (entry: string) =>
    store.retryFailed(entry, { queue, raw }, { unique });
  const text = JSON.stringify(failedJob);
  let state = await retry(text);
  if (state === "missing") {
    const other = await findText(store, text);
    if (other !== undefined) state = await retry(other);
  }
  if (state === "held") return false;
  if (state === "missing")
    throw new ActionheroError("AH_TASK", "This job is not in failed queue");
  await runHooks(host, "afterEnqueue", job, parsed);
  return true;
}

/** The context of a failed job: beside its arguments, or in the metadata of a further attempt. */
function contextOf(
  payload: object,
  metadata: JobContext,
): JobContext | undefined {
  const { ah } = payload as { ah?: unknown };
  const { request, trace } =
    typeof ah === "object" && ah !== null ? (ah as JobContext) : metadata;
  return request === undefined && trace === undefined
    ? undefined
    : { request, trace };
}

export async function removeFailed(
  store: QueueStore,
  failedJob: ErrorPayload,
): Promise<number> {
  const text = JSON.stringify(failedJob);
  const removed = await store.removeFailed(text);
  if (removed > 0) return removed;
  const entry = await findText(store, text);
  return entry === undefined ? 0 : store.removeFailed(entry);
}

/** Other tools write JSON with different spaces and escapes, or other text. */
async function findText(
  store: QueueStore,
  text: string,
): Promise<string | undefined> {
  for (let start = 0; start < SEARCH_LENGTH; start += FAILED_PAGE) {
    const page = await store.failed(start, start + FAILED_PAGE - 1);
    const found = page.find(
      (entry) => JSON.stringify(readFailed(entry)) === text,
    );
    if (found !== undefined) return found;
    if (page.length < FAILED_PAGE) return undefined;
  }
  return undefined;
}

// --- Cleaning up after workers of other programs, by age; ours have leases.

const PAGE = 100;
/** How often a worker may take its next job while it is being removed. */
const MAX_ATTEMPTS = 10;

/** Remove a worker; its job is added to the failed list. */
export async function forceCleanWorker(
  queue: Queue,
  name: string,
): Promise<ErrorPayload | undefined> {
  const { store } = queue.connection;
  const known = await workers(store);
  if (!Object.hasOwn(known, name)) {
    queue.emit(
      "error",
      `force-cleaning worker ${name}, but cannot find queues`,
    );
    return undefined;
  }
  const queues = known[name];
  const member = queues === null ? name : `${name}:${queues}`;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const [seen] = await store.records([member]);
    const removed = await removeSeen(store, name, seen!);
    if (removed) return removed.payload;
  }
  throw new ActionheroError(
    "AH_TASK",
    `the worker ${name} is alive: it took one job after the other`,
  );
}

/** @returns undefined when the worker has moved on */
async function removeSeen(
  store: QueueStore,
  name: string,
  seen: WorkerRecord,
): Promise<{ payload?: ErrorPayload } | undefined> {
  const { record } = seen;
  const payload =
    record === null ? undefined : killedPayload(name, readRecord(name, record));
  const entry = payload && JSON.stringify(payload);
  if (!(await store.removeWorker(seen, name, entry))) return undefined;
  const job = record === null ? undefined : openRecord(record);
  if (job) await releaseUnique(store, job);
  return { payload };
}

function killedPayload(
  name: string,
  { queue, payload }: WorkingOn,
): ErrorPayload {
  const date = new Date().toString();
  return {
    worker: name,
    queue,
    payload,
    exception: "Worker Timeout (killed manually)",
    error: "Worker Timeout (killed manually)",
    backtrace: [
      `killed by ${os.hostname()} at ${date}`,
      "queue#forceCleanWorker",
      "node-resque",
    ],
    failed_at: date,
  };
}

/** Remove the workers that have been on one job for longer than `ageMs`. */
export async function cleanOldWorkers(
  queue: Queue,
  ageMs: number,
): Promise<{ [name: string]: ErrorPayload }> {
  const result: { [name: string]: ErrorPayload } = {};
  const { store } = queue.connection;
  const now = await store.now();
  for (const seen of await store.records(await store.workers())) {
    if (seen.record === null) continue;
    const { name } = splitMember(seen.member);
    const { run_at } = readRecord(name, seen.record);
    if (!(now - Date.parse(run_at) > ageMs)) continue;
    const payload = (await removeSeen(store, name, seen))?.payload;
    if (payload) result[name] = payload;
  }
  return result;
}

/** Names of workers of other programs whose last heartbeat is older than `ageMs`, with its age in s. */
export async function silentWorkers(
  { connection: { store } }: Queue,
  ageMs: number,
): Promise<{ name: string; delta: number }[]> {
  const silent: { name: string; delta: number }[] = [];
  const pings = await store.foreignPings();
  if (pings.length === 0) return silent;
  const now = Math.floor((await store.now()) / 1000);
  for (const text of pings) {
    const { name, time } = readPing(text);
    const delta = now - Number(time);
    if (typeof name === "string" && delta > Math.round(ageMs / 1000))
      silent.push({ name, delta });
  }
  return silent;
}

function readPing(text: string): { name?: unknown; time?: unknown } {
  try {
    return (JSON.parse(text) ?? {}) as object;
  } catch {
    return {};
  }
}

/** Requeue jobs that `forceCleanWorker` added to the failed list. */
export async function retryStuckJobs(
  queue: Queue,
  upperLimit: number,
): Promise<void> {
  let start = 0;
  let retried = 0;
  while (retried < upperLimit) {
    const page = await queue.failed(start, start + PAGE - 1);
    if (page.length === 0) return;
    const stuck = page.filter(
      ({ backtrace }) => backtrace?.[1] === "queue#forceCleanWorker",
    );
    for (const job of stuck.slice(0, upperLimit - retried)) {
      // another process may have removed it first
      await queue.retryAndRemoveFailed(job).catch(ignoreMissing);
      retried++;
    }
    start += page.length - stuck.length; // the removed ones no longer occupy an index
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as ActionheroError).code !== "AH_TASK") throw error;
}
