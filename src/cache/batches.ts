/** Reads and writes single objects; those of one turn of the event loop share one command. */
import type { Redis } from "ioredis";
import { isCluster } from "../redis/engine";
import { defineTimed } from "../redis/script";
import { runAtomically } from "../redis/step";
import { readTexts, type Write, writeObjects, writePlainly } from "./steps";

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
export function writeObject(
  client: Redis,
  write: OwnedWrite,
): Promise<boolean> {
  if (isCluster(client)) return writeObjects(client, [write], write.owner);
  return batchersOf(client).write.add(write);
}

/**
 * The holder of a key's lock, and the object's text; reads of one turn of the event loop are batched.
 */
export function readObject(
  client: Redis,
  lockKey: string,
  cacheKey: string,
): Promise<(string | null)[]> {
  if (isCluster(client)) return readTexts(client, [lockKey, cacheKey]);
  return batchersOf(client).read.add({ lockKey, cacheKey });
}

export interface OwnedWrite extends Write {
  /** The owner name that may hold the object's lock. */
  owner: string;
}

type Place = Pick<Write, "lockKey" | "cacheKey">;

interface Batchers {
  write: Batcher<OwnedWrite, boolean>;
  read: Batcher<Place, (string | null)[]>;
}

const batchers = new WeakMap<Redis, Batchers>();

function batchersOf(client: Redis): Batchers {
  let found = batchers.get(client);
  if (!found) {
    found = {
      write: new Batcher(
        {
          one: (write) => writeOne(client, write),
          many: (writes) => writeEach(client, writes),
          weightOf: ({ text }) => text.length,
        },
        MAX_BATCH,
        MAX_BATCH_LENGTH,
      ),
      read: new Batcher(
        {
          one: ({ lockKey, cacheKey }) => client.mget(lockKey, cacheKey),
          many: (places) => readEach(client, places),
          weightOf: () => 1,
        },
        MAX_BATCH,
        MAX_BATCH,
      ),
    };
    batchers.set(client, found);
  }
  return found;
}

function writeOne(client: Redis, write: OwnedWrite): Promise<boolean> {
  const { lockKey, cacheKey, owner, text, lifetimeMs } = write;
  return runAtomically<number>(client, {
    script: WRITE_ONE,
    keys: [lockKey, cacheKey],
    args: [owner, text, lifetimeMs],
    plain: () => writePlainly(client, [write], owner),
  }).then(isOne);
}

async function writeEach(
  client: Redis,
  writes: readonly OwnedWrite[],
): Promise<boolean[]> {
  const keys: string[] = [];
  const args: (string | number)[] = [];
  for (const { lockKey, cacheKey, owner, text, lifetimeMs } of writes) {
    keys.push(lockKey, cacheKey);
    args.push(owner, text, lifetimeMs);
  }
  const written = await runAtomically<number[]>(client, {
    script: WRITE_EACH,
    keys,
    args,
    plain: () =>
      Promise.all(
        writes.map((write) => writePlainly(client, [write], write.owner)),
      ),
  });
  return written.map(isOne);
}

function isOne(written: unknown): boolean {
  return written === 1;
}

async function readEach(
  client: Redis,
  places: readonly Place[],
): Promise<(string | null)[][]> {
  const keys: string[] = [];
  for (const { lockKey, cacheKey } of places) keys.push(lockKey, cacheKey);
  const texts = await client.mget(keys);
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
