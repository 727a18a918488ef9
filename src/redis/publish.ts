/**
 * Publishes a text at most once, and never after its deadline: subscribers do not get a message that was reported as
 * failed.
 */
import type { Redis } from "ioredis";
import { A, defineOperation } from "./operationScript";
import { runStep } from "./step";

// KEYS: channel. ARGV: text. Returns how many subscribers got it.
// PUBLISH is not a write: a replica allows it. The write before it fails on a redis that refuses writes, so that a message
// that was reported as failed, and is sent again, has not been delivered. It needs no memory: a full redis publishes.
const PUBLISH = defineOperation(`
redis.call('HDEL', ns .. 'ah:full', '')
return redis.call('PUBLISH', KEYS[1], ${A})`);

/** @returns the number of subscribers that received it */
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
