/** What is known about a job by its id, for a day after its last change. */
import { toError } from "../errors";
import type { Connection } from "./connection";
import type { Command } from "./steps/lua";
import type { JobInfo, ParsedJob } from "./types";
import type { Worker } from "./worker";

const KEEP_SECONDS = 86_400;
/** Longer results are not kept: redis is not a store of files, in characters. */
const MAX_RESULT_LENGTH = 65_536;

export async function track(
  connection: Connection,
  job: ParsedJob,
  state: JobInfo["state"],
): Promise<void> {
  const { redis } = connection;
  const key = connection.key("ah:job", job.id!);
  await redis.hset(key, { class: job.class, queue: job.queue, state });
  await redis.expire(key, KEEP_SECONDS);
}

export async function jobInfo(
  connection: Connection,
  id: string,
): Promise<JobInfo | undefined> {
  const found = await connection.redis.hgetall(connection.key("ah:job", id));
  if (!found.class) return undefined;
  const info: JobInfo = {
    id,
    state: found.state as JobInfo["state"],
    class: found.class,
    queue: found.queue!,
    attempt: Number(found.attempt ?? 1),
  };
  if (found.progress) info.progress = JSON.parse(found.progress);
  if (found.result) info.result = JSON.parse(found.result);
  if (found.error) info.error = found.error;
  return info;
}

/** Not waited for: it is told in the order in which it happened, and the job does not depend on it. */
export function tellRunning(
  connection: Connection,
  job: ParsedJob,
  worker: Worker,
): void {
  const key = connection.key("ah:job", job.id!);
  connection.redis
    .hset(key, { state: "running", attempt: job.attempt ?? 1 })
    .catch((error) => worker.report(toError(error)));
}

export async function setProgress(
  connection: Connection,
  id: string,
  progress: unknown,
): Promise<void> {
  const key = connection.key("ah:job", id);
  await connection.redis.hset(key, "progress", shortJson(progress));
  await connection.redis.expire(key, KEEP_SECONDS);
}

/** What holds together with the report of a job. */
export function changeCommands(
  connection: Connection,
  job: ParsedJob,
  worker: Worker,
): Command[] {
  const key = connection.key("ah:job", job.id!);
  const fields = worker.error
    ? ["state", "failed", "error", worker.error.message]
    : worker.isRetried || worker.isPutOff
      ? ["state", worker.isRetried ? "retrying" : "delayed"]
      : ["state", "done", "result", shortJson(worker.result)];
  return [
    ["HSET", key, ...fields],
    ["EXPIRE", key, KEEP_SECONDS],
  ];
}

function shortJson(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    // no JSON, e.g. it contains itself
  }
  return text === undefined || text.length > MAX_RESULT_LENGTH ? "" : text;
}
