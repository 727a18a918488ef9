/** Removes failed jobs, or retries them by hand. */
import { ActionheroError } from "../errors";
import { encode, jobOf } from "./encode";
import { openArgs, withMetadata } from "./jobMetadata";
import { runHooks } from "./pluginRunner";
import type { Queue } from "./queue";
import type { QueueStore } from "./store/store";
import type { ErrorPayload } from "./types";
import { uniqueLock } from "./uniqueness";
import { readFailed } from "./inspect";

/** How far the failed list is searched for an entry that was written differently. */
const SEARCH_LENGTH = 10_000;
const PAGE = 500;

export async function retryFailed(
  host: Queue,
  failedJob: ErrorPayload,
): Promise<boolean> {
  const { store } = host.connection;
  const { queue, payload } = failedJob;
  const { args, metadata } = openArgs(payload.args);
  const { id, request } = metadata ?? {};
  const list = id ? withMetadata(args, { id, request }) : args;
  const job = jobOf(host.jobs, payload.class);
  const parsed = { class: payload.class, queue, args };
  const raw = encode(queue, payload.class, list);
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
  for (let start = 0; start < SEARCH_LENGTH; start += PAGE) {
    const page = await store.failed(start, start + PAGE - 1);
    const found = page.find(
      (entry) => JSON.stringify(readFailed(entry)) === text,
    );
    if (found !== undefined) return found;
    if (page.length < PAGE) return undefined;
  }
  return undefined;
}
