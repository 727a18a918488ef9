/** Jobs that nobody here defines: in a rolling deploy another worker may do so already. */
import { jobOf } from "./encode";
import type { JobView } from "./jobView";
import type { Effect, Outcome } from "./store/store";

const TIMEOUT_MS = 600_000;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 15_000;

/** Whether nobody here defines the class of a job, and it is to wait for who does. */
export function isUnknown({ options, jobs, job }: JobView): boolean {
  return options.unknownJobs === "wait" && !jobOf(jobs, job.class);
}

/**
 * Let a job wait for a worker that defines it.
 * @returns undefined when it has waited for too long
 * @throws LeaseEnded
 */
export async function postponeUnknown(
  view: JobView,
): Promise<Outcome | undefined> {
  const { options, store, job, queue, raw } = view;
  const { unknownJobTimeout: timeoutMs = TIMEOUT_MS } = options;
  const ms = await view.persist(() =>
    store.waitUnknown({ queue, raw }, timeoutMs),
  );
  if (ms === undefined) return undefined;
  view.notify("unknown", queue, job, ms);
  const inMs = Math.min(
    Math.max(Math.round(ms / 4), FIRST_WAIT_MS),
    LONGEST_WAIT_MS,
    timeoutMs - ms,
  );
  const effects: Effect[] = [{ do: "delay", queue, raw, due: { inMs } }];
  if (job.id)
    effects.push({ do: "updateJob", id: job.id, fields: { state: "delayed" } });
  return { kind: "uncounted", effects };
}
