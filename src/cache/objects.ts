/** Objects and lists of the cache: save, load, remove. */
import type { Redis } from "ioredis";
import { readObject, writeObject } from "./batches";
import {
  cacheKey,
  type CacheObject,
  computingKey,
  countLookUps,
  decodeRecord,
  encodeRecord,
  forgetLookUps,
  lockedError,
  lockKey,
  notFoundError,
  wholeMs,
} from "./keys";
import { client, isMine, lockSettings, waitForLock } from "./lock";
import {
  cancelComputing,
  popText,
  pushText,
  readAndTouch,
  readTexts,
  removeObject,
  writeObjects,
  type Write,
} from "./steps";
import { withFields } from "../utils/objects";

export interface CacheOptions {
  /** Set a new expiry from now, in ms (default: the expiry is unchanged). */
  expireTimeMS?: number;
  /** Handling of another owner's lock: true ignores it, a number waits up to that many ms. */
  retry?: boolean | number;
}

/** One of the objects of `saveMany`. */
export interface CacheEntry {
  key: string;
  value: unknown;
  /** In ms; undefined, null or 0: no expiry. */
  expireTimeMS?: number | null;
}

/**
 * Save a value as JSON. An existing object of this key is replaced, including its expiry.
 * @param expireTimeMS time until it expires, in ms; undefined, null or 0: never; negative: at once
 * @throws ActionheroError AH_CACHE_LOCKED `Object locked` when another owner holds the key
 */
export async function save(
  key: string,
  value: any,
  expireTimeMS?: number | null,
): Promise<true> {
  const redis = client();
  const write = writeOf({ key, value, expireTimeMS });
  if (write.lifetimeMs < 0) await cancelComputing(redis, [computingKey(key)]);
  const owner = lockSettings.lockName();
  const written = await writeObject(redis, withFields(write, { owner }));
  if (!written) throw lockedError();
  forgetLookUps(redis, [write.cacheKey]);
  return true;
}

/**
 * Save several objects in one round trip: all, or none if another owner holds one of the keys. (On a Redis Cluster,
 * this is atomic per slot.)
 * @throws ActionheroError AH_CACHE_LOCKED
 */
export async function saveMany(entries: readonly CacheEntry[]): Promise<true> {
  const redis = client();
  const writes = entries.map(writeOf);
  const removed = entries.filter((_entry, i) => writes[i]!.lifetimeMs < 0);
  await cancelComputing(
    redis,
    removed.map(({ key }) => computingKey(key)),
  );
  if (!(await writeObjects(redis, writes, lockSettings.lockName())))
    throw lockedError();
  forgetLookUps(
    redis,
    writes.map((write) => write.cacheKey),
  );
  return true;
}

function writeOf({ key, value, expireTimeMS }: CacheEntry): Write {
  return {
    cacheKey: cacheKey(key),
    lockKey: lockKey(key),
    text: encodeRecord(value),
    lifetimeMs: wholeMs(expireTimeMS ?? 0),
  };
}

/**
 * Read an object.
 * @throws ActionheroError AH_CACHE_LOCKED `Object locked`, AH_CACHE_NOT_FOUND `Object not found`
 */
export async function load(
  key: string,
  options: CacheOptions = {},
): Promise<CacheObject> {
  const { retry } = options;
  const startTime = Date.now();
  for (;;) {
    const [holder, text] = await read(key, options);
    if (retry === true || isMine(holder)) return objectOf(key, text ?? null);
    if (!(await waitForLock(retry, startTime))) throw lockedError();
  }
}

/** The holder of the key's lock, and the object's text. */
function read(
  key: string,
  { expireTimeMS, retry }: CacheOptions,
): Promise<(string | null)[]> {
  const redis = client();
  if (!expireTimeMS) return readObject(redis, lockKey(key), cacheKey(key));

  const lifetimeMs = wholeMs(expireTimeMS);
  if (retry === true) return readAnyway(redis, cacheKey(key), lifetimeMs);
  const owner = lockSettings.lockName();
  return readAndTouch(redis, lockKey(key), cacheKey(key), owner, lifetimeMs);
}

async function readAnyway(
  redis: Redis,
  cacheKey: string,
  lifetimeMs: number,
): Promise<(string | null)[]> {
  const [text] = await Promise.all([
    redis.get(cacheKey),
    redis.pexpire(cacheKey, lifetimeMs),
  ]);
  return [null, text];
}

function objectOf(key: string, text: string | null): CacheObject {
  const record = decodeRecord(text);
  countLookUps(record ? 1 : 0, record ? 0 : 1);
  if (!record) throw notFoundError();
  return { key, value: record.value, createdAt: record.createdAt };
}

/**
 * Read several objects in one round trip.
 * @returns one entry per key, in their order; null for a missing object
 * @throws ActionheroError AH_CACHE_LOCKED when another owner holds one of the keys
 */
export async function loadMany(
  keys: readonly string[],
): Promise<(CacheObject | null)[]> {
  if (keys.length === 0) return [];
  const found = await readTexts(client(), [
    ...keys.map(lockKey),
    ...keys.map(cacheKey),
  ]);
  if (!found.slice(0, keys.length).every(isMine)) throw lockedError();
  const objects = keys.map((key, index) => {
    const record = decodeRecord(found[keys.length + index] ?? null);
    if (!record) return null;
    return { key, value: record.value, createdAt: record.createdAt };
  });
  const missing = objects.filter((object) => object === null).length;
  countLookUps(keys.length - missing, missing);
  return objects;
}

/**
 * Remove an object or a list. Values that `wrap` is computing are not saved.
 * @returns whether it existed
 * @throws ActionheroError AH_CACHE_LOCKED
 */
export async function destroy(key: string): Promise<boolean> {
  const redis = client();
  const removed = await removeObject(redis, {
    lockKey: lockKey(key),
    cacheKey: cacheKey(key),
    computingLock: computingKey(key),
    owner: lockSettings.lockName(),
  });
  if (removed === -1) throw lockedError();
  forgetLookUps(redis, [cacheKey(key)]);
  return removed === 1;
}

/** Append an item to a list; locks are ignored. */
export async function push(key: string, item: any): Promise<true> {
  const text = JSON.stringify({ data: item as unknown });
  await pushText(client(), cacheKey(key), text);
  return true;
}

/** Remove and return the first item of a list; null if the list is empty. */
export async function pop(key: string): Promise<any> {
  const text = await popText(client(), cacheKey(key));
  if (text === null) return null;
  return (JSON.parse(text) as { data?: unknown }).data;
}

/** The number of items in a list. */
export async function listLength(key: string): Promise<number> {
  return client().llen(cacheKey(key));
}
