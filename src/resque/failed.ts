/** Failed jobs that are removed, or tried again by hand. */
import { ActionheroError } from "../errors";
import type { Connection } from "./connection";
import { encode, jobOf } from "./encode";
import { openArgs, withNotes } from "./notes";
import { runHooks } from "./pluginRunner";
import type { Queue } from "./queue";
import { retryJob } from "./steps/enqueue";
import type { ErrorPayload } from "./types";
import { addUnique } from "./uniqueness";

/** How far the failed list is searched for an entry that was written differently. */
const SEARCH_LENGTH = 10_000;
const PAGE = 500;

export async function retryFailed(
  host: Queue,
  failedJob: ErrorPayload,
): Promise<boolean> {
  const { connection, jobs } = host;
  const { queue, payload } = failedJob;
  const { args, notes } = openArgs(payload.args);
  const list = notes?.id ? withNotes(args, { id: notes.id }) : args;
  const job = jobOf(jobs, payload.class);
  const parsed = { class: payload.class, queue, args };
  const raw = encode(queue, payload.class, list);
  if (!(await runHooks(host, "beforeEnqueue", job, parsed))) return false;
  if (job?.unique) {
    if (!(await addUnique(connection, queue, payload.class, raw))) return false;
    if ((await host.removeFailed(failedJob)) < 1) throw notThere();
  } else {
    const isThere =
      (await retryJob(connection, JSON.stringify(failedJob), queue, raw)) ||
      (await retryOther(connection, failedJob, queue, raw));
    if (!isThere) throw notThere();
  }
  await runHooks(host, "afterEnqueue", job, parsed);
  return true;
}

export async function removeFailed(
  connection: Connection,
  failedJob: ErrorPayload,
): Promise<number> {
  const key = connection.key("failed");
  const text = JSON.stringify(failedJob);
  const removed = await connection.redis.lrem(key, 1, text);
  if (removed > 0) return removed;
  const entry = await findText(connection, text);
  return entry === undefined ? 0 : connection.redis.lrem(key, 1, entry);
}

async function retryOther(
  connection: Connection,
  failedJob: ErrorPayload,
  queue: string,
  raw: string,
): Promise<boolean> {
  const entry = await findText(connection, JSON.stringify(failedJob));
  if (entry === undefined) return false;
  return retryJob(connection, entry, queue, raw);
}

/** Other tools write JSON with blanks and escapes of their own. */
async function findText(
  connection: Connection,
  text: string,
): Promise<string | undefined> {
  for (let start = 0; start < SEARCH_LENGTH; start += PAGE) {
    const page = await connection.redis.lrange(
      connection.key("failed"),
      start,
      start + PAGE - 1,
    );
    const found = page.find((entry) => normalized(entry) === text);
    if (found !== undefined) return found;
    if (page.length < PAGE) return undefined;
  }
  return undefined;
}

function normalized(entry: string): string | undefined {
  try {
    return JSON.stringify(JSON.parse(entry));
  } catch {
    return undefined;
  }
}

function notThere(): ActionheroError {
  return new ActionheroError("AH_TASK", "This job is not in failed queue");
}
