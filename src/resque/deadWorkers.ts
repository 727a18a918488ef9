/** Cleaning up after workers of other programs, by age; ours have leases. */
import * as os from "node:os";
import type { ActionheroError } from "../errors";
import type { Queue } from "./queue";
import type { ErrorPayload, WorkingOn } from "./types";
import { workers } from "./inspect";

const PAGE = 100;

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
  const work = (await queue.allWorkingOn())[name];
  const payload =
    work === undefined || work === "started"
      ? undefined
      : killedPayload(name, work);
  await store.removeWorker(member, name, payload && JSON.stringify(payload));
  return payload;
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
  const now = await queue.connection.store.now();
  for (const [name, work] of Object.entries(await queue.allWorkingOn())) {
    if (work === "started") continue;
    if (!(now - Date.parse(work.run_at) > ageMs)) continue;
    const payload = await forceCleanWorker(queue, name);
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
