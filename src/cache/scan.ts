/** Searches of the cache's keys; always with SCAN, which does not stop redis for others as KEYS would. */
import type { Redis } from "ioredis";
import { settings } from "../config/settings";
import { keyHolders } from "../redis/engine";
import { slotGroups } from "../redis/slots";
import { cachePrefix, computingKey, escapeGlob, lockPrefix } from "./keys";
import { client } from "./lock";
import { forgetAllLookUps } from "./lookUps";
import { cancelComputing } from "./steps";

/** How many keys one DEL removes; longer ones would keep redis busy for too long. */
const DELETE_BATCH = 1000;
/** How many such commands are on their way together: on a Redis Cluster a key is often alone in its slot. */
const DELETES_AT_ONCE = 100;

/** `config.redis.scanCount`. */
export function scanCount(): number {
  return settings().redis.scanCount;
}

/**
 * All redis keys that match `pattern`, on all nodes of a Redis Cluster; each once.
 * @param pattern of redis' SCAN, for whole keys: the prefix is not added
 * @param count how many keys redis looks at in one step
 * @param keysAry keys that the answer begins with
 * @param cursor where to begin
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

/** The search of a pattern that is under way, and the one that begins after it. */
interface Search {
  running: Promise<string[]>;
  next?: Promise<string[]>;
}

const searches = new Map<string, Search>();

/**
 * The redis keys that match, for all who ask at the same time: each search holds all of its keys in memory, so there are
 * at most two of a pattern. A search that was under way before the call does not count: it may have missed a new key.
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

/** How many redis keys match (default: all of the cache). */
export async function size(pattern = allObjects()): Promise<number> {
  return (await search(pattern)).length;
}

/**
 * Remove all redis keys that match (default: all of the cache), whoever holds them. Locks stay, but what `wrap`
 * computes at the moment is not saved.
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

/** The computing locks of the objects that a pattern is about; of all when it does not begin with the prefix. */
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
