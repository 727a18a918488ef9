/** The cache's steps that must hold together: each is one script, with its sequence of plain commands. */
import type { Redis } from "ioredis";
import { isCluster } from "../redis/engine";
import { A, B, defineOperation, defineTimed } from "../redis/operationScript";
import { slotGroups } from "../redis/slots";
import { runStep } from "../redis/step";

/** One object to write. */
export interface Write {
  cacheKey: string;
  lockKey: string;
  text: string;
  /** How long it lives, in ms; 0: for ever; negative: not at all. */
  lifetimeMs: number;
}

// KEYS: n locks, then n objects. ARGV: owner, then text and lifetime of each object.
// Returns 1, or 0 when somebody else holds one of the locks; then nothing is written.
// One step, because a lock that is taken between the check and the write would be overrun.
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
// Returns {holder or false, text or false}; sets the object's lifetime unless somebody else holds the lock.
// One step, because the object could be replaced between reading it and setting its lifetime.
const READ_AND_TOUCH = defineTimed(`
local found = redis.call('MGET', KEYS[1], KEYS[2])
if found[2] and (not found[1] or found[1] == ARGV[1]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return found`);

// KEYS: lock, object, computing lock. ARGV: owner.
// Returns how many objects were removed, or -1 when somebody else holds the lock.
// One step, because what is computed at the moment must not be saved afterwards.
const REMOVE = defineTimed(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return -1 end
redis.call('DEL', KEYS[3])
return redis.call('DEL', KEYS[2])`);

// KEYS: computing locks. They go in the order of the steps, so that none falls between the commands of another one.
const CANCEL = defineTimed(`
for _, key in ipairs(KEYS) do redis.call('DEL', key) end
return 1`);

// KEYS: lock. ARGV: owner, time in ms.
// Returns whether it was taken.
const TAKE = defineOperation(`
if redis.call('SET', KEYS[1], ${A}, 'PX', ${B}, 'NX') then return 1 end
return 0`);

// KEYS: lock. ARGV: owner.
// Returns 0 when somebody else holds it, else 1, and it is free.
// One step, because the lock may expire and be taken between the check and the removal.
const UNLOCK = defineTimed(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1`);

// KEYS: lock. ARGV: owner, time in ms.
// Returns whether the lock was still the owner's, and is now for that long.
const RENEW = defineTimed(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`);

// KEYS: list. ARGV: text.
const PUSH = defineOperation(`
redis.call('RPUSH', KEYS[1], ${A})
return 1`);

// KEYS: list. Returns its first item, or false.
const POP = defineOperation(`return redis.call('LPOP', KEYS[1])`);

// KEYS: computing lock, lock, object. ARGV: token, owner, text, lifetime in ms (0: for ever), text before or "".
// Returns whether it was written: the computing lock is the token's, nobody but the owner holds the lock, and the
// object is the one from before, or has expired.
// One step, because a computing lock that runs out in between belongs to somebody with a newer value.
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
 * Write all objects, or none. On a Redis Cluster that holds for those in one slot with their locks.
 * @returns false when somebody else holds one of the locks
 */
export async function writeObjects(
  client: Redis,
  writes: readonly Write[],
  owner: string,
): Promise<boolean> {
  const groups = slotGroups(client, writes, (write) => write.cacheKey);
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
  const locks = writes.map((write) => write.lockKey);
  const objects = writes.map((write) => write.cacheKey);
  return runStep(client, {
    script: WRITE,
    keys: [...locks, ...objects],
    args: [owner, ...writes.flatMap((one) => [one.text, one.lifetimeMs])],
    plain: () => writePlainly(client, writes, owner),
  });
}

/** The commands of such a step. */
export async function writePlainly(
  client: Redis,
  writes: readonly Write[],
  owner: string,
): Promise<0 | 1> {
  const locks = writes.map((write) => write.lockKey);
  const holders = await readTexts(client, locks);
  if (holders.some((holder) => holder !== null && holder !== owner)) return 0;
  await Promise.all(writes.map((write) => writeOne(client, write)));
  return 1;
}

function writeOne(client: Redis, write: Write): Promise<unknown> {
  const { cacheKey, text, lifetimeMs } = write;
  if (lifetimeMs > 0) return client.set(cacheKey, text, "PX", lifetimeMs);
  if (lifetimeMs < 0) return client.del(cacheKey);
  return client.set(cacheKey, text);
}

/** What was computed under a lock, and the text of the object when it began. */
export interface ComputedWrite extends Write {
  computingLock: string;
  token: string;
  owner: string;
  before: string | null;
}

/** Write it, unless that lock is lost, somebody else holds the key, or the object is another by now. */
export async function writeComputed(
  client: Redis,
  write: ComputedWrite,
): Promise<boolean> {
  const { computingLock, token, owner, before, lockKey, cacheKey } = write;
  const written = await runStep(client, {
    script: WRITE_COMPUTED,
    keys: [computingLock, lockKey, cacheKey],
    args: [token, owner, write.text, write.lifetimeMs, before ?? ""],
    plain: async () => {
      const [computing, holder, current] = await readTexts(client, [
        computingLock,
        lockKey,
        cacheKey,
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

/** The strings at `keys`, null for what is none; one round trip, one command where one slot holds all. */
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

/** The holder of the lock and the object's text; sets the object's lifetime, unless it is somebody else's. */
export function readAndTouch(
  client: Redis,
  lockKey: string,
  cacheKey: string,
  owner: string,
  lifetimeMs: number,
): Promise<(string | null)[]> {
  return runStep(client, {
    script: READ_AND_TOUCH,
    keys: [lockKey, cacheKey],
    args: [owner, lifetimeMs],
    plain: async () => {
      const found = await readTexts(client, [lockKey, cacheKey]);
      const [holder, text] = found;
      if (text !== null && (holder === null || holder === owner))
        await client.pexpire(cacheKey, lifetimeMs);
      return found;
    },
  });
}

/**
 * Remove an object, and keep what is computed for it at the moment from being saved.
 * @returns how many objects were removed, or -1 when somebody else holds the lock
 */
export function removeObject(
  client: Redis,
  {
    lockKey,
    cacheKey,
    computingLock,
    owner,
  }: Pick<ComputedWrite, "lockKey" | "cacheKey" | "computingLock" | "owner">,
): Promise<number> {
  return runStep(client, {
    script: REMOVE,
    keys: [lockKey, cacheKey, computingLock],
    args: [owner],
    plain: async () => {
      const holder = await client.get(lockKey);
      if (holder !== null && holder !== owner) return -1;
      await client.del(computingLock);
      return client.del(cacheKey);
    },
  });
}

/** Keep what is computed under these locks from being saved: whoever asks next computes anew. */
export async function cancelComputing(
  client: Redis,
  computingLocks: readonly string[],
): Promise<void> {
  if (computingLocks.length === 0) return;
  await Promise.all(
    slotGroups(client, computingLocks, (lock) => lock).map((keys) =>
      runStep(client, {
        script: CANCEL,
        keys,
        args: [],
        plain: () => client.del(keys),
      }),
    ),
  );
}

/** Add a text at the end of a list. */
export async function pushText(
  client: Redis,
  key: string,
  text: string,
): Promise<void> {
  await runStep(client, {
    script: PUSH,
    keys: [key],
    args: [text],
    plain: () => client.rpush(key, text),
  });
}

/** Removes and returns the first item of a list; null when the list is empty. */
export function popText(client: Redis, key: string): Promise<string | null> {
  return runStep(client, {
    script: POP,
    keys: [key],
    args: [],
    plain: () => client.lpop(key),
  });
}

/** @returns false when somebody else holds the lock */
export async function releaseLock(
  client: Redis,
  lockKey: string,
  owner: string,
): Promise<boolean> {
  const released = await runStep(client, {
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

/** @returns false when the lock is not the owner's any more */
export async function renewLock(
  client: Redis,
  lockKey: string,
  owner: string,
  timeMs: number,
): Promise<boolean> {
  const renewed = await runStep(client, {
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

/** Take a lock, unless anybody (this owner too) holds it. */
export async function takeLock(
  client: Redis,
  lockKey: string,
  owner: string,
  timeMs: number,
): Promise<boolean> {
  const taken = await runStep(client, {
    script: TAKE,
    keys: [lockKey],
    args: [owner, timeMs],
    plain: async () => {
      const answer = await client.set(lockKey, owner, "PX", timeMs, "NX");
      return answer === "OK" ? 1 : 0;
    },
  });
  return taken === 1;
}
