/** The connected queue. */
import { api } from "../api";
import { ActionheroError } from "../errors";
import type { Queue } from "../resque/queue";

/** @throws ActionheroError AH_TASK before the server was initialized and after it stopped */
export function requireQueue(): Queue {
  const queue = api.resque?.queue;
  if (!queue)
    throw new ActionheroError("AH_TASK", "the task queue is not connected");
  return queue;
}
