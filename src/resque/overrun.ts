/** Tracks runs that continue after their `timeout`, and runs that start in parallel to them. */
import type { JobView } from "./jobView";
import type { Job } from "./types";
import { uniqueKey } from "./uniqueness";

/** Such a run is recorded while its worker is registered, for at most a day. */
const KNOWN_SECONDS = 86_400;

/** Whether an earlier run may still be running: this is a further attempt, or a run of a recurring task. */
export function mayOverlap({ job }: JobView, definition: Job): boolean {
  const { timeout, afterTimeout, finished } = definition;
  if (!timeout || afterTimeout === "wait") return false;
  return (job.attempt ?? 1) > 1 || finished !== undefined;
}

/** Record until its end that a timed-out run continues, if the job will run again. */
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
  // released at once, so that the next attempt, or this one after its own timeout, finds no lock
  if (lock) await lease.persist(() => store.releaseLock(lock));
  else view.notify("overlap", view.queue, view.job);
}

function keyOf({ connection, queue, raw }: JobView): string {
  return connection.key("ah", "overrun", uniqueKey(queue, raw));
}
