/** Runs that go on although their `timeout` is over, and what starts beside them. */
import type { JobView } from "./jobView";
import type { Job } from "./types";
import { uniqueKey } from "./uniqueness";

/** Such a run is known while its worker is registered, for at most a day. */
const KNOWN_SECONDS = 86_400;

/** Whether an earlier run may go on: this is a further attempt, or a run of a periodic task. */
export function mayOverlap({ job }: JobView, definition: Job): boolean {
  const { timeout, afterTimeout, finished } = definition;
  if (!timeout || afterTimeout === "wait") return false;
  return (job.attempt ?? 1) > 1 || finished !== undefined;
}

/** Make known until its end that the run of a job goes on, when the job will run again. */
export async function keepOverrun(view: JobView, job: Job): Promise<void> {
  const { overrun, lease, store } = view;
  if (!overrun || !(view.isRetried || job.finished)) return;
  const { worker } = lease;
  const lock = await lease.persist(() =>
    store.takeLock({ key: keyOf(view), seconds: KNOWN_SECONDS, worker }),
  );
  if (!lock) return;
  const release = () => {
    // it ends with its worker in any case
    store.releaseLock(lock, worker).catch(() => undefined);
  };
  overrun.then(release, release);
}

/** Warns when an earlier run of the job has not ended yet. */
export async function warnOfOverrun(view: JobView): Promise<void> {
  const { lease, store } = view;
  const key = keyOf(view);
  const reply = await lease.persist(async () => ({
    lock: await store.takeLock({ key, seconds: 1 }),
  }));
  if (!reply) return;
  const { lock } = reply;
  // it only asks: the next attempt, or this one when its own time is over, finds nobody's lock
  if (lock) await lease.persist(() => store.releaseLock(lock));
  else view.notify("overlap", view.queue, view.job);
}

function keyOf({ connection, queue, raw }: JobView): string {
  return connection.key("ah", "overrun", uniqueKey(queue, raw));
}
