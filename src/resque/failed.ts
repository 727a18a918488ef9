/** Failed jobs that are tried again by hand. */
import { ActionheroError } from "../errors";
import { encode, jobOf } from "./encode";
import { openArgs, withNotes } from "./notes";
import { runHooks } from "./pluginRunner";
import type { Queue } from "./queue";
import { retryJob } from "./steps/enqueue";
import type { ErrorPayload } from "./types";
import { addUnique } from "./uniqueness";

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
    const entry = JSON.stringify(failedJob);
    if (!(await retryJob(connection, entry, queue, raw))) throw notThere();
  }
  await runHooks(host, "afterEnqueue", job, parsed);
  return true;
}

function notThere(): ActionheroError {
  return new ActionheroError("AH_TASK", "This job is not in failed queue");
}
