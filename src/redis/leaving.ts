/** The last that a node does on redis when it stops. */
import type { Redis } from "ioredis";
import { isRedisAway, toError } from "../errors";
import { log } from "../log/log";
import { within } from "../utils/promises";
import { isSilent, noteSilence } from "./connectionLog";

/** How long one step may take, in ms. */
const STEP_MS = 1_000;
/** The same when redis did not answer before: the steps of a stop do not all wait for it. */
const SILENT_STEP_MS = 100;

/**
 * Do one of the last things; it never rejects.
 * @returns whether redis has answered in time
 */
export async function takeLeave(
  client: Redis,
  step: () => Promise<unknown>,
): Promise<boolean> {
  const ms = isSilent(client) ? SILENT_STEP_MS : STEP_MS;
  const message = () => "redis does not answer";
  try {
    await within(ms, step(), "AH_REDIS_TIMEOUT", message);
    return true;
  } catch (error) {
    log(`left without notice: ${toError(error).message}`, "debug");
    if (isRedisAway(error)) noteSilence(client);
    return false;
  }
}
