/** Searches the keys of the cache, always with SCAN, which does not block redis as KEYS would. */
import type { Redis } from "ioredis";
import { settings } from "../config/settings";
import { keyHolders } from "../redis/engine";
import { slotGroups } from "../redis/slots";
import { cachePrefix, computingKey, escapeGlob, lockPrefix } from "./keys";
import { client } from "./lock";
import { forgetAllLookUps } from "./lookUps";
import { cancelComputing } from "./steps";

/** Keys per DEL; more would block redis for too long. */
const DELETE_BATCH = 1000;
/** Number of such commands in flight: on a Redis Cluster, a slot often has a single key. */
const DELETES_AT_ONCE = 100;

/** `config.redis.scanCount`. */
export function scanCount(): number {
  return settings().redis.scanCount;
}

/**
 * All distinct redis keys that match `pattern`, on all nodes of a Redis Cluster.
 * @param pattern a SCAN pattern for whole keys: the prefix is not added
 * @param count number of keys that redis inspects per call
 * @param keysAry keys to put before the result
 * @param cursor start of the scan
 */
export async function getKeys(
  pattern: string,
  count: number = scanCount(),
  keysAry: string[] = [],
  cursor: number | string = 0,
): Promise<string[]> {
  const found = new Set(keysAry);
  await Promise.all(
    keyHolders(client()).map((node) =>
      collect(node, { pattern, count, start: String(cursor) }, found),
    ),
  );
  return [...found];
}

async function collect(
  node: Redis,
  { pattern, count, start }: { pattern: string; count: number; start: string },
  found: Set<string>,
): Promise<void> {
  let cursor = start;
  do {
    const [next, keys] = await node.scan(
      cursor,
      "MATCH",
      pattern,
      "COUNT",
      count,
    );
    for (const key of keys) found.add(key);
    cursor = next;
  } while (cursor !== "0");
}

/** The running search of a pattern, and the one that begins after it. */
interface Search {
  running: Promise<string[]>;
  next?: Promise<string[]>;
}

const searches = new Map<string, Search>();

/**
 * The redis keys that match, for all who ask at the same time: each search holds all of its keys in memory, so there are
 * at most two of a pattern. A search that began before the call is not shared: it may have missed a new key.
 */
function search(pattern: string): Promise<readonly string[]> {
  const current = searches.get(pattern);
  if (!current) return beginSearch(pattern);
  const begin = () => beginSearch(pattern);
  current.next ??= current.running.then(begin, begin);
  return current.next;
}

function beginSearch(pattern: string): Promise<string[]> {
  const current: Search = { running: getKeys(pattern) };
  searches.set(pattern, current);
  const end = () => {
    if (!current.next) searches.delete(pattern);
  };
  current.running.then(end, end);
  return current.running;
}

/** The redis keys of all objects and lists, or of those whose key begins with the given text. */
export async function keys(optionalScopePrefix = ""): Promise<string[]> {
  const found = await search(
    `${escapeGlob(cachePrefix() + optionalScopePrefix)}*`,
  );
  return [...found];
}

/** The redis keys of all locks, or of those whose key begins with the given text. */
export async function locks(optionalScopePrefix = ""): Promise<string[]> {
  const found = await search(
    `${escapeGlob(lockPrefix() + optionalScopePrefix)}*`,
  );
  return [...found];
}

/** The number of matching redis keys (default: all of the cache). */
export async function size(pattern = allObjects()): Promise<number> {
  return (await search(pattern)).length;
}

/**
 * Remove all matching redis keys (default: all of the cache), even locked ones. Locks remain, but values that `wrap`
 * is computing are not saved.
 * @returns the removed keys
 */
export async function clear(pattern = allObjects()): Promise<string[]> {
  const redis = client();
  await cancelComputing(redis, await getKeys(computingLocks(pattern)));
  forgetAllLookUps(redis);
  const found = await getKeys(pattern);
  const batches = slotGroups(redis, found, (key) => key).flatMap((group) =>
    batchesOf(group, DELETE_BATCH),
  );
  for (const some of batchesOf(batches, DELETES_AT_ONCE))
    await Promise.all(some.map((batch) => redis.del(batch)));
  return found;
}

function allObjects(): string {
  return `${escapeGlob(cachePrefix())}*`;
}

/** The computing locks of the objects that a pattern matches; all of them if it does not begin with the prefix. */
function computingLocks(pattern: string): string {
  const prefixes = [escapeGlob(cachePrefix()), cachePrefix()];
  const prefix = prefixes.find((known) => pattern.startsWith(known));
  const rest = prefix === undefined ? "*" : pattern.slice(prefix.length);
  return escapeGlob(computingKey("")) + rest;
}

/** `items` in lists of at most `length`. */
export function batchesOf<T>(items: readonly T[], length: number): T[][] {
  const batches: T[][] = [];
  for (let start = 0; start < items.length; start += length)
    batches.push(items.slice(start, start + length));
  return batches;
}
