/** Publishes a text once, and in time: a listener does not hear what its speaker was told had failed. */
import type { Redis } from "ioredis";
import { A, defineOperation } from "./operationScript";
import { runStep } from "./step";

// KEYS: channel. ARGV: text. Returns how many subscribers got it.
const PUBLISH = defineOperation(`return redis.call('PUBLISH', KEYS[1], ${A})`);

/** @returns how many subscribers redis gave it to */
export function publishText(
  client: Redis,
  channel: string,
  text: string,
): Promise<number> {
  return runStep(client, {
    script: PUBLISH,
    keys: [channel],
    args: [text],
    plain: () => client.publish(channel, text),
  });
}
