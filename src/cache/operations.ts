/** The atomic operations of the cache: each is one script, with an equivalent sequence of plain commands. */
import type { Redis } from "ioredis";
import { isCluster } from "../redis/engine";
import { A, B, defineOperation, defineTimed } from "../redis/script";
import { runAtomically, slotGroups } from "../redis/atomic";

/** One object to write. */
export interface Write {
  entry: string;
  lock: string;
  text: string;
  /** Lifetime in ms; 0: no expiry; negative: expired at once. */
  lifetimeMs: number;
}

// KEYS: n locks, then n objects. ARGV: owner, then text and lifetime of each object.
// Returns 1, or 0 when another owner holds one of the locks; then nothing is written.
// Atomic, because a lock taken between the check and the write would be ignored.
const WRITE = defineTimed(`
local n = #KEYS / 2
for i = 1, n do
  local holder = redis.call('GET', KEYS[i])
  if holder and holder ~= ARGV[1] then return 0 end
end
for i = 1, n do
  local lifetime = tonumber(ARGV[2 * i + 1])
  if lifetime > 0 then
    redis.call('SET', KEYS[n + i], ARGV[2 * i], 'PX', lifetime)
  elseif lifetime < 0 then
    redis.call('DEL', KEYS[n + i])
  else
    redis.call('SET', KEYS[n + i], ARGV[2 * i])
  end
end
return 1`);

// KEYS: lock, object. ARGV: owner, lifetime in ms.
// Returns {holder or false, text or false}; sets the object's lifetime unless another owner holds the lock.
// Atomic, because the object could be replaced between reading it and setting its lifetime.
const READ_AND_TOUCH = defineTimed(`
local found = redis.call('MGET', KEYS[1], KEYS[2])
if found[2] and (not found[1] or found[1] == ARGV[1]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return found`);

// KEYS: lock, object, computing lock. ARGV: owner.
// Returns the number of removed objects, or -1 when another owner holds the lock.
// Atomic, because a value that is being computed must not be saved afterwards.
const REMOVE = defineTimed(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return -1 end
redis.call('DEL', KEYS[3])
return redis.call('DEL', KEYS[2])`);

// KEYS: computing locks. It is queued with the other operations, so that it never runs between the commands of one.
const CANCEL = defineTimed(`
for _, key in ipairs(KEYS) do redis.call('DEL', key) end
return 1`);

// KEYS: lock. ARGV: owner, time in ms.
// Returns whether it was taken.
const TAKE = defineOperation(`
if redis.call('SET', KEYS[1], ${A}, 'PX', ${B}, 'NX') then return 1 end
return 0`);

// KEYS: lock. ARGV: owner.
// Returns 0 when another owner holds it, else 1, and the lock is released.
// Atomic, because the lock may expire and be taken between the check and the removal.
const UNLOCK = defineTimed(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1`);

// KEYS: lock. ARGV: owner, time in ms.
// Returns whether the owner still held the lock, which is then extended.
const RENEW = defineTimed(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`);

// KEYS: list. ARGV: text.
const PUSH = defineOperation(`
redis.call('RPUSH', KEYS[1], ${A})
return 1`);

// KEYS: list. Returns its first item, or false.
const POP = defineOperation(`return redis.call('LPOP', KEYS[1])`);

// KEYS: computing lock, lock, object. ARGV: token, owner, text, lifetime in ms (0: no expiry), text before or "".
// Returns whether it was written, which requires that the token holds the computing lock, that no other owner holds
// the lock, and that the object is unchanged or has expired.
// Atomic, because after the computing lock expires, another process may save a newer value.
const WRITE_COMPUTED = defineTimed(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[2] then return 0 end
local current = redis.call('MGET', KEYS[3])[1]
if current and current ~= ARGV[5] then return 0 end
if tonumber(ARGV[4]) > 0 then
  redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4])
else
  redis.call('SET', KEYS[3], ARGV[3])
end
return 1`);

/**
 * Write all objects, or none. On a Redis Cluster, this is atomic for objects that share a slot with their locks.
 * @returns false when another owner holds one of the locks
 */
export async function writeObjects(
  client: Redis,
  writes: readonly Write[],
  owner: string,
): Promise<boolean> {
  const groups = slotGroups(client, writes, (write) => write.entry);
  const results = await Promise.all(
    groups.map((group) => writeGroup(client, group, owner)),
  );
  return results.every((written) => written === 1);
}

function writeGroup(
  client: Redis,
  writes: readonly Write[],
  owner: string,
): Promise<number> {
  const locks = writes.map((write) => write.lock);
  const objects = writes.map((write) => write.entry);
  return runAtomically(client, {
    script: WRITE,
    keys: [...locks, ...objects],
    args: [owner, ...writes.flatMap((one) => [one.text, one.lifetimeMs])],
    plain: () => writePlainly(client, writes, owner),
  });
}

/** The commands of such an operation. */
export async function writePlainly(
  client: Redis,
  writes: readonly Write[],
  owner: string,
): Promise<0 | 1> {
  const locks = writes.map((write) => write.lock);
  const holders = await readTexts(client, locks);
  if (holders.some((holder) => holder !== null && holder !== owner)) return 0;
  await Promise.all(writes.map((write) => writeOne(client, write)));
  return 1;
}

function writeOne(client: Redis, write: Write): Promise<unknown> {
  const { entry, text, lifetimeMs } = write;
  if (lifetimeMs > 0) return client.set(entry, text, "PX", lifetimeMs);
  if (lifetimeMs < 0) return client.del(entry);
  return client.set(entry, text);
}

/** The value computed under a lock, and the text of the object at the beginning. */
export interface ComputedWrite extends Write {
  computingLock: string;
  token: string;
  owner: string;
  before: string | null;
}

/** Write it, unless that lock is lost, another owner holds the key, or the object has changed. */
export async function writeComputed(
  client: Redis,
  write: ComputedWrite,
): Promise<boolean> {
  const { computingLock, token, owner, before, lock, entry } = write;
  const written = await runAtomically(client, {
    script: WRITE_COMPUTED,
    keys: [computingLock, lock, entry],
    args: [token, owner, write.text, write.lifetimeMs, before ?? ""],
    plain: async () => {
      const [computing, holder, current] = await readTexts(client, [
        computingLock,
        lock,
        entry,
      ]);
      if (computing !== token) return 0;
      if (holder != null && holder !== owner) return 0;
      // the embedded engine gives lists, too, where redis says null
      if (typeof current === "string" && current !== before) return 0;
      await writeOne(client, write);
      return 1;
    },
  });
  return written === 1;
}

/** The strings at `keys`, null for other types; one round trip, one command if all are in one slot. */
export function readTexts(
  client: Redis,
  keys: string[],
): Promise<(string | null)[]> {
  return isCluster(client) ? readBySlot(client, keys) : client.mget(keys);
}

async function readBySlot(
  client: Redis,
  keys: readonly string[],
): Promise<(string | null)[]> {
  const places = keys.map((key, index) => ({ key, index }));
  const found = new Array<string | null>(keys.length).fill(null);
  await Promise.all(
    slotGroups(client, places, (place) => place.key).map(async (group) => {
      const texts = await client.mget(group.map((place) => place.key));
      group.forEach((place, i) => (found[place.index] = texts[i] ?? null));
    }),
  );
  return found;
}

/** The holder of the lock and the object's text; sets the object's lifetime, unless another owner holds the lock. */
export function readAndTouch(
  client: Redis,
  keys: [lockKey: string, cacheKey: string],
  owner: string,
  lifetimeMs: number,
): Promise<(string | null)[]> {
  const [, cacheKey] = keys;
  return runAtomically(client, {
    script: READ_AND_TOUCH,
    keys,
    args: [owner, lifetimeMs],
    plain: async () => {
      const found = await readTexts(client, keys);
      const [holder, text] = found;
      if (text !== null && (holder === null || holder === owner))
        await client.pexpire(cacheKey, lifetimeMs);
      return found;
    },
  });
}

/**
 * Remove an object, and prevent a value that is being computed for it from being saved.
 * @returns the number of removed objects, or -1 when another owner holds the lock
 */
export function removeObject(
  client: Redis,
  {
    lock,
    entry,
    computingLock,
    owner,
  }: Pick<ComputedWrite, "lock" | "entry" | "computingLock" | "owner">,
): Promise<number> {
  return runAtomically(client, {
    script: REMOVE,
    keys: [lock, entry, computingLock],
    args: [owner],
    plain: async () => {
      const holder = await client.get(lock);
      if (holder !== null && holder !== owner) return -1;
      await client.del(computingLock);
      return client.del(entry);
    },
  });
}

/** Prevent values computed under these locks from being saved: the next caller computes again. */
export async function cancelComputing(
  client: Redis,
  computingLocks: readonly string[],
): Promise<void> {
  if (computingLocks.length === 0) return;
  await Promise.all(
    slotGroups(client, computingLocks, (lock) => lock).map((keys) =>
      runAtomically(client, {
        script: CANCEL,
        keys,
        args: [],
        plain: () => client.del(keys),
      }),
    ),
  );
}

/** Append a text to a list. */
export async function pushText(
  client: Redis,
  key: string,
  text: string,
): Promise<void> {
  await runAtomically(client, {
    script: PUSH,
    keys: [key],
    args: [text],
    plain: () => client.rpush(key, text),
  });
}

/** Removes and returns the first item of a list; null if the list is empty. */
export function popText(client: Redis, key: string): Promise<string | null> {
  return runAtomically(client, {
    script: POP,
    keys: [key],
    args: [],
    plain: () => client.lpop(key),
  });
}

/** @returns false when another owner holds the lock */
export async function releaseLock(
  client: Redis,
  lockKey: string,
  owner: string,
): Promise<boolean> {
  const released = await runAtomically(client, {
    script: UNLOCK,
    keys: [lockKey],
    args: [owner],
    plain: async () => {
      const holder = await client.get(lockKey);
      if (holder !== null && holder !== owner) return 0;
      await client.del(lockKey);
      return 1;
    },
  });
  return released === 1;
}

/** @returns false when the owner no longer holds the lock */
export async function renewLock(
  client: Redis,
  lockKey: string,
  owner: string,
  timeMs: number,
): Promise<boolean> {
  const renewed = await runAtomically(client, {
    script: RENEW,
    keys: [lockKey],
    args: [owner, timeMs],
    plain: async () => {
      if ((await client.get(lockKey)) !== owner) return 0;
      return client.pexpire(lockKey, timeMs);
    },
  });
  return renewed === 1;
}

/** Take a lock, unless any owner (including this one) holds it. */
export async function takeLock(
  client: Redis,
  lockKey: string,
  owner: string,
  timeMs: number,
): Promise<boolean> {
  const taken = await runAtomically(client, {
    script: TAKE,
    keys: [lockKey],
    args: [owner, timeMs],
    plain: async () => {
      const reply = await client.set(lockKey, owner, "PX", timeMs, "NX");
      return reply === "OK" ? 1 : 0;
    },
  });
  return taken === 1;
}
