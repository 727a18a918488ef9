/** Cleaning up after workers of other kinds, by age; ours have leases. */
import * as os from "node:os";
import type { ActionheroError } from "../errors";
import type { Connection } from "./connection";
import type { Queue } from "./queue";
import type { ErrorPayload, ParsedJob } from "./types";
import { workers } from "./views";

const PAGE = 100;

/** Remove a worker; what it ran goes to the failed list. */
export async function forceCleanWorker(
  queue: Queue,
  name: string,
): Promise<ErrorPayload | undefined> {
  const { connection } = queue;
  const { redis } = connection;
  const known = await workers(connection);
  if (!Object.hasOwn(known, name)) {
    queue.emit(
      "error",
      `force-cleaning worker ${name}, but cannot find queues`,
    );
    return undefined;
  }
  const queues = known[name];
  const member = queues === null ? name : `${name}:${queues}`;
  const record = await redis.get(connection.key("worker", member));
  const payload = record ? killedPayload(name, record) : undefined;
  const step = redis.multi();
  if (payload)
    step
      .incr(connection.key("stat:failed"))
      .rpush(connection.key("failed"), JSON.stringify(payload));
  step
    .srem(connection.key("workers"), member)
    .del(
      connection.key("stat:failed", name),
      connection.key("stat:processed", name),
      connection.key("worker:ping", name),
      connection.key("worker", member, "started"),
      connection.key("worker", member),
      connection.key("ah:owner", member),
    );
  for (const [error] of (await step.exec()) ?? []) if (error) throw error;
  return payload;
}

function killedPayload(name: string, record: string): ErrorPayload {
  const { queue, payload } = JSON.parse(record) as {
    queue: string;
    payload: ParsedJob;
  };
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
  for (const [name, work] of Object.entries(await queue.allWorkingOn())) {
    if (work === "started") continue;
    if (Date.now() - Date.parse(work.run_at) <= ageMs) continue;
    const payload = await forceCleanWorker(queue, name);
    if (payload) result[name] = payload;
  }
  return result;
}

/** Names of the workers of other kinds whose last sign is older than `ageMs`, with its age in s. */
export async function silentWorkers(
  { connection }: Queue,
  ageMs: number,
): Promise<{ name: string; delta: number }[]> {
  const { redis } = connection;
  const silent: { name: string; delta: number }[] = [];
  const keys = await connection.getKeys(connection.key("worker:ping", "*"));
  if (keys.length === 0) return silent;
  const now = await redisSeconds(connection);
  for (const ping of await redis.mget(...keys)) {
    if (!ping) continue;
    const { name, time, queues } = JSON.parse(ping) as Ping;
    if (now - time <= Math.round(ageMs / 1000)) continue;
    // ours have leases
    const owner = connection.key("ah:owner", `${name}:${queues}`);
    if (await redis.exists(owner)) continue;
    silent.push({ name, delta: now - time });
  }
  return silent;
}

interface Ping {
  name: string;
  time: number;
  queues: string;
}

/** By redis's clock: ours may have jumped, and everybody would seem silent. */
async function redisSeconds({ redis, embedded }: Connection): Promise<number> {
  if (embedded) return Math.round(Date.now() / 1000);
  return Number((await redis.time())[0]);
}

/** Enqueue again what `forceCleanWorker` put on the failed list. */
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
      // another process may have been faster
      await queue.retryAndRemoveFailed(job).catch(ignoreMissing);
      retried++;
    }
    start += page.length - stuck.length; // the removed ones no longer take a place
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as ActionheroError).code !== "AH_TASK") throw error;
}
