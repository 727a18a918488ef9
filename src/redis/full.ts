/** Steps of the boot that a full redis refuses. Workers must start nevertheless, because only they can empty it. */
import { toError } from "../errors";
import { log } from "../log/log";
import { isFull } from "./away";

/**
 * Run a step of the boot that is done again later.
 * @param what for the warning if redis is full: "cannot <what>"
 */
export async function unlessFull(
  what: string,
  step: () => Promise<unknown>,
): Promise<void> {
  try {
    await step();
  } catch (thrown) {
    const error = toError(thrown);
    if (!isFull(error)) throw thrown;
    log(`cannot ${what}: ${error.message}`, "warning");
  }
}
