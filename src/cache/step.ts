/** Several commands as one step, on each kind of redis. */
import type { Redis } from "ioredis";
import { isEmbedded, runExclusive } from "../redis/engine";
import { runScript, type Script } from "../redis/script";
import { shareSlot } from "./keys";

export interface Step<T> {
  script: Script;
  keys: readonly string[];
  args: readonly (string | number)[];
  /** The same in plain commands. */
  plain: () => Promise<T>;
}

/**
 * Run a step. A single redis gets the script: one trip, atomic. The embedded engine gets the plain commands, one step
 * at a time. A Redis Cluster that keeps the keys on different nodes gets them too; there, nothing can hold them
 * together.
 */
export function runStep<T>(client: Redis, step: Step<T>): Promise<T> {
  if (isEmbedded(client)) return runExclusive(step.plain);
  if (!shareSlot(client, step.keys)) return step.plain();
  return runScript(client, step.script, step.keys, step.args) as Promise<T>;
}
