/**
 * Runs several commands as one atomic operation: a script on a single redis, plain commands on the embedded engine, and on
 * a Redis Cluster whose slots separate the keys.
 */
import type { Redis } from "ioredis";
import { operationTimeout } from "./clients";
import { isCluster, isEmbedded, runExclusive } from "./engine";
import {
  defineScript,
  REDIS_CLOCK,
  type Script,
  Operations,
  type Place,
} from "./script";
import { thisMachine } from "../utils/promises";

interface AtomicOperation<T> {
  /** Created by `defineTimed`, or by `defineOperation` if running it twice, after a lost connection, would do harm. */
  script: Script;
  keys: readonly string[];
  args: readonly (string | number)[];
  /** The operation in plain commands. */
  plain: () => Promise<T>;
}

const PREFIX = "actionhero:";
const CLOCK = defineScript(`${REDIS_CLOCK}return now()`);

/**
 * Run an operation. A single redis runs the script: one round trip, atomic, and without effect after a timeout. The embedded
 * engine gets the plain commands, one operation at a time. A Redis Cluster whose slots separate the keys also gets the
 * plain commands, which are then not atomic.
 */
export function runAtomically<T>(
  client: Redis,
  operation: AtomicOperation<T>,
): Promise<T> {
  const { script, keys, args } = operation;
  if (isEmbedded(client)) return runExclusive(operation.plain);
  if (!shareSlot(client, keys)) return operation.plain();
  const operations = operationsOf(client);
  const prefix = script.isTimed ? undefined : prefixOf(client, keys);
  const place: Place = { prefix: prefix ?? "", keys };
  const reply =
    prefix === undefined
      ? operations.intime(script, place, args)
      : operations.once(script, place, args);
  return reply as Promise<T>;
}

/** The estimated time of redis, in ms, so that processes with different clocks agree; that of this process before the first script. */
export function storeTime(client: Redis): number {
  return isEmbedded(client) ? Date.now() : operationsOf(client).estimate();
}

/** @returns undefined if a Redis Cluster cannot store another key in their slot */
function prefixOf(client: Redis, keys: readonly string[]): string | undefined {
  return isCluster(client) ? slotPrefix(keys[0]!) : PREFIX;
}

const operationsOfClients = new WeakMap<Redis, Operations>();

function operationsOf(client: Redis): Operations {
  let found = operationsOfClients.get(client);
  if (!found) {
    const timeoutMs = client.options?.commandTimeout ?? operationTimeout();
    found = new Operations(client, {
      timeoutMs,
      clock: CLOCK,
      machine: thisMachine,
    });
    operationsOfClients.set(client, found);
  }
  return found;
}

// --- Which keys one command may hold together: on a Redis Cluster those of one slot.

import calculateSlot = require("cluster-key-slot");

/** Whether one command or script may touch all of `keys`. */
export function shareSlot(client: Redis, keys: readonly string[]): boolean {
  if (!isCluster(client) || keys.length < 2) return true;
  const slot = calculateSlot(keys[0]!);
  return keys.every((key) => calculateSlot(key) === slot);
}

/**
 * Split `items` so that one command may hold each group: one group, except on a Redis Cluster, where it is one per
 * slot.
 */
export function slotGroups<T>(
  client: Redis,
  items: readonly T[],
  keyOf: (item: T) => string,
): T[][] {
  if (items.length === 0) return [];
  if (!isCluster(client)) return [[...items]];
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const slot = calculateSlot(keyOf(item));
    const group = groups.get(slot);
    if (group) group.push(item);
    else groups.set(slot, [item]);
  }
  return [...groups.values()];
}

/** @returns the beginning of keys in the slot of `key`; undefined when no key can begin with it, as with `a}b` */
function slotPrefix(key: string): string | undefined {
  const tag = /\{([^}]+)\}/.exec(key)?.[1] ?? key;
  const prefix = `{${tag}}:`;
  return calculateSlot(prefix) === calculateSlot(key) ? prefix : undefined;
}
