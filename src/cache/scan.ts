/** Searches the keys of the cache, always with SCAN, which does not block redis as KEYS would. */
import * as fs from "node:fs/promises";
import type { Redis } from "ioredis";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import { keyHolders } from "../redis/engine";
import { slotGroups } from "../redis/atomic";
import {
  cachePrefix,
  computingKey,
  escapeGlob,
  forgetAllLookUps,
  lockPrefix,
  client,
} from "./keys";
import { cancelComputing } from "./operations";

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
    const [next, page] = await node.scan(
      cursor,
      "MATCH",
      pattern,
      "COUNT",
      count,
    );
    for (const key of page) found.add(key);
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
function batchesOf<T>(items: readonly T[], length: number): T[][] {
  const batches: T[][] = [];
  for (let start = 0; start < items.length; start += length)
    batches.push(items.slice(start, start + length));
  return batches;
}

// --- Writes the whole cache to a file, and restores it.

/** Keys per batch. */
const BATCH = 500;

/**
 * The entry of one redis key in the file. An object without an expiry is its bare text, as v29 wrote it; v29 cannot
 * read the other form.
 */
type Entry = string | { value?: string; list?: string[]; expiresAt?: number };

/**
 * Write all objects and lists to a file, with their expiry times. An existing file is replaced as a whole.
 * @returns the number of entries
 */
export async function dumpWrite(file: string): Promise<number> {
  const redis = client();
  const entries: [string, Entry][] = [];
  for (const batch of batchesOf(await keys(), BATCH)) {
    const found = await Promise.all(batch.map((key) => read(redis, key)));
    found.forEach((entry, i) => {
      if (entry !== undefined) entries.push([batch[i]!, entry]);
    });
  }
  const unfinished = `${file}.${process.pid}.tmp`;
  await fs.writeFile(unfinished, JSON.stringify(Object.fromEntries(entries)));
  await fs.rename(unfinished, file);
  return entries.length;
}

/** @returns undefined if the key no longer exists, or does not belong to the cache */
async function read(redis: Redis, key: string): Promise<Entry | undefined> {
  const [type, ttl] = await Promise.all([redis.type(key), redis.pttl(key)]);
  const expiresAt = ttl > 0 ? Date.now() + ttl : undefined;
  if (type === "list")
    return { list: await redis.lrange(key, 0, -1), expiresAt };
  if (type !== "string") return undefined;
  const value = (await redis.get(key)) ?? undefined;
  return expiresAt === undefined ? value : { value, expiresAt };
}

/**
 * Replace the contents of the cache by those of a file, of this version or of v29. Expired entries are skipped. The
 * whole file is validated before anything is removed.
 * @returns the number of restored objects and lists
 * @throws ActionheroError AH_CACHE_DUMP for a file that `dumpWrite` did not write
 */
export async function dumpRead(file: string): Promise<number> {
  const now = Date.now();
  const entries = parse(file, await fs.readFile(file, "utf8")).filter(
    ([, entry]) =>
      typeof entry === "string" || (entry.expiresAt ?? Infinity) > now,
  );
  const redis = client();
  await clear();
  for (const batch of batchesOf(entries, BATCH))
    await Promise.all(batch.map(([key, entry]) => write(redis, key, entry)));
  return entries.length;
}

async function write(redis: Redis, key: string, entry: Entry): Promise<void> {
  if (typeof entry === "string") {
    await redis.set(key, entry);
    return;
  }
  const { list, value, expiresAt } = entry;
  if (value !== undefined) await redis.set(key, value);
  for (const items of batchesOf(list ?? [], BATCH))
    await redis.rpush(key, ...items);
  if (expiresAt !== undefined) await redis.pexpireat(key, expiresAt);
}

function parse(file: string, text: string): [string, Entry][] {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw new ActionheroError(
      "AH_CACHE_DUMP",
      `${file} is no dump of the cache: it is not JSON`,
      { cause },
    );
  }
  if (typeof content !== "object" || content === null || Array.isArray(content))
    throw new ActionheroError(
      "AH_CACHE_DUMP",
      `${file} is no dump of the cache: it is not an object of keys`,
    );
  return Object.entries(content).map(([key, entry]) => {
    if (!isEntry(entry))
      throw new ActionheroError(
        "AH_CACHE_DUMP",
        `${file} is no dump of the cache: what it has for "${key}" is no text, value or list`,
      );
    return [key, entry];
  });
}

function isEntry(entry: unknown): entry is Entry {
  if (typeof entry === "string") return true;
  if (typeof entry !== "object" || entry === null) return false;
  const { value, list, expiresAt } = entry as Record<string, unknown>;
  if (expiresAt !== undefined && !Number.isInteger(expiresAt)) return false;
  if (value !== undefined) return typeof value === "string";
  return Array.isArray(list) && list.every((item) => typeof item === "string");
}
