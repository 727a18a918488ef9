/** Jobs that are enqueued once: the key that holds the text of the one that is there. */
import { createHash } from "node:crypto";
import type { Connection } from "./connection";
import { parseJob } from "./failure";
import type { Command } from "./steps/lua";
import { enqueueUnique, LOCK_SECONDS } from "./steps/unique";

/** Of a queue, a class and its arguments; notes of the engine do not count. */
export function uniqueKey(
  connection: Connection,
  queue: string,
  raw: string,
): string {
  const job = parseJob(raw, queue);
  const text = JSON.stringify([queue, job.class, job.args]);
  const hash = createHash("sha1").update(text).digest("hex");
  return connection.key("ah:unique", hash);
}

/** @returns false when the same job is there */
export async function addUnique(
  connection: Connection,
  queue: string,
  jobClass: string,
  raw: string,
  dueMs?: number,
): Promise<boolean> {
  const lock = uniqueKey(connection, queue, raw);
  const job = { lock, queue, class: jobClass, raw, dueMs };
  return (await enqueueUnique(connection, job)) === "added";
}

export function unlockCommands(
  connection: Connection,
  queue: string,
  raw: string,
): Command[] {
  return [["AH.UNLOCK", uniqueKey(connection, queue, raw), raw]];
}

/** The job goes on as another text. */
export function relockCommands(
  connection: Connection,
  queue: string,
  raw: string,
): Command[] {
  const key = uniqueKey(connection, queue, raw);
  return [["SET", key, raw, "EX", LOCK_SECONDS]];
}
