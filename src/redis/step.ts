/**
 * Several commands as one step, on each kind of redis. This is the only place that knows how the embedded engine and a Redis
 * Cluster differ from a single redis.
 */
import type { Redis } from "ioredis";
import { operationTimeout } from "./clients";
import { isCluster, isEmbedded, runExclusive } from "./engine";
import { Operations, thisMachine, type Place } from "./operations";
import { REDIS_CLOCK } from "./operationScript";
import { defineScript, type Script } from "./script";
import { shareSlot, slotPrefix } from "./slots";

export interface Step<T> {
  /** Made with `defineTimed`; with `defineOperation` if it would do harm twice, when a lost connection has it sent again. */
  script: Script;
  keys: readonly string[];
  args: readonly (string | number)[];
  /** The same in plain commands. */
  plain: () => Promise<T>;
}

const PREFIX = "actionhero:";
const CLOCK = defineScript(`${REDIS_CLOCK}return now()`);

/**
 * Run a step. A redis gets the script: one trip, atomic, and no effect once the caller was told that it timed out. The embedded
 * engine gets the plain commands, one step at a time. A Redis Cluster that keeps the keys on different nodes gets them too;
 * there, nothing can hold them together.
 */
export function runStep<T>(client: Redis, step: Step<T>): Promise<T> {
  const { script, keys, args } = step;
  if (isEmbedded(client)) return runExclusive(step.plain);
  if (!shareSlot(client, keys)) return step.plain();
  const operations = operationsOf(client);
  const prefix = script.isTimed ? undefined : prefixOf(client, keys);
  const place: Place = { prefix: prefix ?? "", keys };
  const reply =
    prefix === undefined
      ? operations.intime(script, place, args)
      : operations.once(script, place, args);
  return reply as Promise<T>;
}

/** @returns undefined when a Redis Cluster can keep nothing beside the keys */
function prefixOf(client: Redis, keys: readonly string[]): string | undefined {
  return isCluster(client) ? slotPrefix(keys[0]!) : PREFIX;
}

const known = new WeakMap<Redis, Operations>();

function operationsOf(client: Redis): Operations {
  let found = known.get(client);
  if (!found) {
    const timeoutMs = client.options?.commandTimeout ?? operationTimeout();
    found = new Operations(client, {
      timeoutMs,
      clock: CLOCK,
      machine: thisMachine,
    });
    known.set(client, found);
  }
  return found;
}
