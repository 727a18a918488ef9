/** Cleaning up after workers of other kinds, by age; ours have leases. */
import * as os from "node:os";
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
  if (payload) {
    await redis.incr(connection.key("stat:failed"));
    await redis.rpush(connection.key("failed"), JSON.stringify(payload));
  }
  await redis.zrem(connection.key("ah:leases"), member);
  await redis.srem(connection.key("workers"), member);
  await redis.del(
    connection.key("ah:owner", member),
    connection.key("stat:failed", name),
    connection.key("stat:processed", name),
    connection.key("worker:ping", name),
    connection.key("worker", member, "started"),
    connection.key("worker", member),
  );
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

/** Names of the workers whose last sign is older than `ageMs`, with its age in s. */
export async function silentWorkers(
  { connection }: Queue,
  ageMs: number,
): Promise<{ name: string; delta: number }[]> {
  const now = Math.round(Date.now() / 1000);
  const silent: { name: string; delta: number }[] = [];
  for (const key of await connection.getKeys(
    connection.key("worker:ping", "*"),
  )) {
    const ping = await connection.redis.get(key);
    if (!ping) continue;
    const { name, time } = JSON.parse(ping) as { name: string; time: number };
    if (now - time > Math.round(ageMs / 1000))
      silent.push({ name, delta: now - time });
  }
  return silent;
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
      if ((await queue.removeFailed(job)) > 0)
        await queue.enqueue(job.queue, job.payload.class, job.payload.args);
      retried++;
    }
    start += page.length - stuck.length; // the removed ones no longer take a place
  }
}
