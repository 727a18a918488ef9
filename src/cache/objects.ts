/** Objects and lists of the cache: save, load, remove. */
import type { Redis } from "ioredis";
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
  client,
  isMine,
  lockSettings,
  waitForLock,
} from "./keys";
import {
  cancelComputing,
  popText,
  pushText,
  readAndTouch,
  readTexts,
  removeObject,
  writeObjects,
  type Write,
  writePlainly,
} from "./operations";
import { isCluster } from "../redis/engine";
import { defineTimed } from "../redis/script";
import { runAtomically } from "../redis/atomic";

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
  const owner = lockSettings.lockName();
  const write = writeOf({ key, value, expireTimeMS }, owner);
  if (write.lifetimeMs < 0) await cancelComputing(redis, [computingKey(key)]);
  const written = await writeObject(redis, write);
  if (!written) throw lockedError();
  forgetLookUps(redis, [write.entry]);
  return true;
}

/**
 * Save several objects in one round trip: all, or none if another owner holds one of the keys. (On a Redis Cluster,
 * this is atomic per slot.)
 * @throws ActionheroError AH_CACHE_LOCKED
 */
export async function saveMany(entries: readonly CacheEntry[]): Promise<true> {
  const redis = client();
  const owner = lockSettings.lockName();
  const writes = entries.map((entry) => writeOf(entry, owner));
  const removed = entries.filter((_entry, i) => writes[i]!.lifetimeMs < 0);
  await cancelComputing(
    redis,
    removed.map(({ key }) => computingKey(key)),
  );
  if (!(await writeObjects(redis, writes, owner))) throw lockedError();
  forgetLookUps(
    redis,
    writes.map((write) => write.entry),
  );
  return true;
}

function writeOf(
  { key, value, expireTimeMS }: CacheEntry,
  owner: string,
): OwnedWrite {
  return {
    entry: cacheKey(key),
    lock: lockKey(key),
    text: encodeRecord(value),
    lifetimeMs: wholeMs(expireTimeMS ?? 0),
    owner,
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
  return readAndTouch(redis, [lockKey(key), cacheKey(key)], owner, lifetimeMs);
}

async function readAnyway(
  redis: Redis,
  entryKey: string,
  lifetimeMs: number,
): Promise<(string | null)[]> {
  const [text] = await Promise.all([
    redis.get(entryKey),
    redis.pexpire(entryKey, lifetimeMs),
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
    lock: lockKey(key),
    entry: cacheKey(key),
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

// --- Single objects: reads and writes of one turn of the event loop share one command.

/** Limits of one command: the number of objects, and the total length of their texts. */
const MAX_BATCH = 100;
const MAX_BATCH_LENGTH = 1024 * 1024;

// KEYS: lock, object. ARGV: owner, text, lifetime in ms.
// Returns 1, or 0 when another owner holds the lock.
// Atomic, like WRITE; separate from WRITE_EACH, because it is less work for redis (bench/cache.ts, 1 in flight).
const WRITE_ONE = defineTimed(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if ARGV[3] == '0' then
  redis.call('SET', KEYS[2], ARGV[2])
elseif string.byte(ARGV[3]) == 45 then
  redis.call('DEL', KEYS[2])
else
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
end
return 1`);

// KEYS: lock and object of each. ARGV: owner, text and lifetime of each.
// Returns for each 1, or 0 when another owner holds its lock; a skipped object does not affect the others.
// Atomic, like WRITE.
const WRITE_EACH = defineTimed(`
local results = {}
for i = 1, #KEYS / 2 do
  local holder = redis.call('GET', KEYS[2 * i - 1])
  if holder and holder ~= ARGV[3 * i - 2] then
    results[i] = 0
  else
    local key = KEYS[2 * i]
    local lifetime = tonumber(ARGV[3 * i])
    if lifetime > 0 then
      redis.call('SET', key, ARGV[3 * i - 1], 'PX', lifetime)
    elseif lifetime < 0 then
      redis.call('DEL', key)
    else
      redis.call('SET', key, ARGV[3 * i - 1])
    end
    results[i] = 1
  end
end
return results`);

/**
 * Write one object; writes of one turn of the event loop are batched.
 * @returns false when another owner holds its lock
 */
export function writeObject(redis: Redis, write: OwnedWrite): Promise<boolean> {
  if (isCluster(redis)) return writeObjects(redis, [write], write.owner);
  return batchersOf(redis).write.add(write);
}

/**
 * The holder of a key's lock, and the object's text; reads of one turn of the event loop are batched.
 */
export function readObject(
  redis: Redis,
  lock: string,
  entry: string,
): Promise<(string | null)[]> {
  if (isCluster(redis)) return readTexts(redis, [lock, entry]);
  return batchersOf(redis).read.add({ lock: lock, entry: entry });
}

export interface OwnedWrite extends Write {
  /** The owner name that may hold the object's lock. */
  owner: string;
}

type Place = Pick<Write, "lock" | "entry">;

interface Batchers {
  write: Batcher<OwnedWrite, boolean>;
  read: Batcher<Place, (string | null)[]>;
}

const batchers = new WeakMap<Redis, Batchers>();

function batchersOf(redis: Redis): Batchers {
  let found = batchers.get(redis);
  if (!found) {
    found = {
      write: new Batcher(
        {
          one: (write) => writeOne(redis, write),
          many: (writes) => writeEach(redis, writes),
          weightOf: ({ text }) => text.length,
        },
        MAX_BATCH,
        MAX_BATCH_LENGTH,
      ),
      read: new Batcher(
        {
          one: ({ lock, entry }) => redis.mget(lock, entry),
          many: (places) => readEach(redis, places),
          weightOf: () => 1,
        },
        MAX_BATCH,
        MAX_BATCH,
      ),
    };
    batchers.set(redis, found);
  }
  return found;
}

function writeOne(redis: Redis, write: OwnedWrite): Promise<boolean> {
  const { lock, entry, owner, text, lifetimeMs } = write;
  return runAtomically<number>(redis, {
    script: WRITE_ONE,
    keys: [lock, entry],
    args: [owner, text, lifetimeMs],
    plain: () => writePlainly(redis, [write], owner),
  }).then(isOne);
}

async function writeEach(
  redis: Redis,
  writes: readonly OwnedWrite[],
): Promise<boolean[]> {
  const keys: string[] = [];
  const args: (string | number)[] = [];
  for (const { lock, entry, owner, text, lifetimeMs } of writes) {
    keys.push(lock, entry);
    args.push(owner, text, lifetimeMs);
  }
  const written = await runAtomically<number[]>(redis, {
    script: WRITE_EACH,
    keys,
    args,
    plain: () =>
      Promise.all(
        writes.map((write) => writePlainly(redis, [write], write.owner)),
      ),
  });
  return written.map(isOne);
}

function isOne(written: unknown): boolean {
  return written === 1;
}

async function readEach(
  redis: Redis,
  places: readonly Place[],
): Promise<(string | null)[][]> {
  const keys: string[] = [];
  for (const { lock, entry } of places) keys.push(lock, entry);
  const texts = await redis.mget(keys);
  return places.map((_, i) => [texts[2 * i] ?? null, texts[2 * i + 1] ?? null]);
}

/**
 * Collects the requests of one turn of the event loop into one redis command, because a command costs this process
 * and redis more than one of its items (bench/cache.ts).
 */
export class Batcher<Item, Result> {
  private waiting: Waiting<Item, Result>[] = [];
  private weight = 0;

  /**
   * @param maxItems maximum number of items per command
   * @param maxWeight maximum total weight per command; a single heavier item is not divided
   */
  constructor(
    private readonly commands: Commands<Item, Result>,
    private readonly maxItems: number,
    private readonly maxWeight: number,
  ) {}

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.waiting.length === 0) process.nextTick(flush, this);
      this.waiting.push({ item, resolve, reject });
      this.weight += this.commands.weightOf(item);
      const isFull =
        this.waiting.length >= this.maxItems || this.weight >= this.maxWeight;
      if (isFull) this.flush();
    });
  }

  flush(): void {
    const batch = this.waiting;
    if (batch.length === 0) return; // the batch was full before the end of the turn
    this.waiting = [];
    this.weight = 0;
    if (batch.length === 1) {
      const { item, resolve, reject } = batch[0]!;
      this.commands.one(item).then(resolve, reject);
      return;
    }
    this.commands.many(batch.map(({ item }) => item)).then(
      (results) => batch.forEach(({ resolve }, i) => resolve(results[i]!)),
      (error: unknown) => batch.forEach(({ reject }) => reject(error)),
    );
  }
}

/** Requests a batch of items. */
interface Commands<Item, Result> {
  one: (item: Item) => Promise<Result>;
  /** Its results are in the order of the items. */
  many: (items: Item[]) => Promise<Result[]>;
  /** In the unit of `maxWeight`. */
  weightOf: (item: Item) => number;
}

interface Waiting<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

function flush(batcher: Batcher<any, any>): void {
  batcher.flush();
}
