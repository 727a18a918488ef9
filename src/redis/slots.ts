/** Which keys one command may hold together: on a Redis Cluster those of one slot. */
import type { Redis } from "ioredis";
import calculateSlot = require("cluster-key-slot");
import { isCluster } from "./engine";

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
export function slotPrefix(key: string): string | undefined {
  const tag = /\{([^}]+)\}/.exec(key)?.[1] ?? key;
  const prefix = `{${tag}}:`;
  return calculateSlot(prefix) === calculateSlot(key) ? prefix : undefined;
}
