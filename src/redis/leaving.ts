/** The last operations of a stopping node on redis. */
import type { Redis } from "ioredis";
import { isRedisAway, toError } from "../errors";
import { log } from "../log/log";
import { within } from "../utils/promises";
import { isFull } from "./away";
import { isSilent, noteUnavailable } from "./connectionLog";

/** The timeout of one operation, in ms. */
const STEP_MS = 1_000;
/** The timeout after redis failed to respond once, so that a stop does not wait for it repeatedly. */
const SILENT_STEP_MS = 100;

/**
 * Run one of these operations; never rejects.
 * @returns whether redis responded in time
 */
export async function runStopStep(
  client: Redis,
  step: () => Promise<unknown>,
): Promise<boolean> {
  const ms = isSilent(client) ? SILENT_STEP_MS : STEP_MS;
  const message = () => "redis does not answer";
  try {
    await within(ms, step(), "AH_REDIS_TIMEOUT", message);
    return true;
  } catch (error) {
    log(
      `redis did not take part in the stop: ${toError(error).message}`,
      "debug",
    );
    if (isRedisAway(error) && !isFull(toError(error))) noteUnavailable(client);
    return false;
  }
}
