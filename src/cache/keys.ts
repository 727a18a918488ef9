/** Where the cache keeps its things in redis, and which keys one command may hold together. */
import type { Redis } from "ioredis";
import calculateSlot = require("cluster-key-slot");
import { config } from "../config/config";
import { isCluster } from "../redis/engine";

const DEFAULT_CACHE_PREFIX = "actionhero:cache:";
const DEFAULT_LOCK_PREFIX = "actionhero:lock:";

/** `config.general.cachePrefix`, read anew each time: it may change with a restart. */
export function cachePrefix(): string {
  return config.general?.cachePrefix ?? DEFAULT_CACHE_PREFIX;
}

/** `config.general.lockPrefix`. */
export function lockPrefix(): string {
  return config.general?.lockPrefix ?? DEFAULT_LOCK_PREFIX;
}

export function cacheKey(key: string): string {
  return cachePrefix() + key;
}

export function lockKey(key: string): string {
  return lockPrefix() + key;
}

/** The lock of `cache.wrap`; not that of `cache.lock`: while a new value is computed, the old one can be read. */
export function computingKey(key: string): string {
  return lockKey(`wrap:${key}`);
}

/**
 * A text as a pattern of SCAN that stands for itself. With brackets: the embedded engine knows no backslash outside of
 * them, and takes `)` for part of an expression.
 */
export function escapeGlob(text: string): string {
  return text.replace(/[*?[\\)]/g, (character) =>
    character === "\\" ? "[\\\\]" : `[${character}]`,
  );
}

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
