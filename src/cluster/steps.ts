/** The atomic operations on the register of nodes. */
import type { Redis } from "ioredis";
import { defineTimed } from "../redis/operationScript";
import { runStep } from "../redis/step";

// KEYS: register (hash: node id -> "<ms> <record>"). ARGV: node id, record. Returns the previous record, or false.
// Atomic, so that the time is that of the write and a removal by another node is never missed.
const BEAT = defineTimed(`
local before = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', time) .. ' ' .. ARGV[2])
return before`);

// KEYS: register. Returns the time of redis in ms, then id and entry of each node in turn.
// Atomic, so that ages refer to the moment of reading, regardless of the clocks of the nodes.
const READ = defineTimed(`
local found = redis.call('HGETALL', KEYS[1])
table.insert(found, 1, string.format('%.0f', time))
return found`);

// KEYS: register. ARGV: node id.
const REMOVE = defineTimed(`return redis.call('HDEL', KEYS[1], ARGV[1])`);

// KEYS: claim. ARGV: owner, ms. Returns whether the owner holds it.
const CLAIM = defineTimed(`
if redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then return 1 end
return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0`);

// KEYS: claim.
const RELEASE = defineTimed(`return redis.call('DEL', KEYS[1])`);

/** Write a heartbeat; returns the previous entry. */
export function beat(
  client: Redis,
  register: string,
  id: string,
  record: string,
): Promise<string | null> {
  return runStep(client, {
    script: BEAT,
    keys: [register],
    args: [id, record],
    plain: async () => {
      const before = await client.hget(register, id);
      await client.hset(register, id, `${Date.now()} ${record}`);
      return before;
    },
  });
}

/** The entries by node id, and the time of redis in ms. */
export async function read(
  client: Redis,
  register: string,
): Promise<{ now: number; entries: Map<string, string> }> {
  const [now, ...flat] = await runStep<string[]>(client, {
    script: READ,
    keys: [register],
    args: [],
    plain: async () => {
      const found = await client.hgetall(register);
      return [String(Date.now()), ...Object.entries(found).flat()];
    },
  });
  const entries = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2)
    entries.set(flat[i]!, flat[i + 1]!);
  return { now: Number(now), entries };
}

export async function remove(
  client: Redis,
  register: string,
  id: string,
): Promise<void> {
  await runStep(client, {
    script: REMOVE,
    keys: [register],
    args: [id],
    plain: () => client.hdel(register, id),
  });
}

/** @returns whether `owner` holds `key`, newly for `ms` milliseconds or already */
export async function claim(
  client: Redis,
  key: string,
  owner: string,
  ms: number,
): Promise<boolean> {
  const reply = await runStep<number>(client, {
    script: CLAIM,
    keys: [key],
    args: [owner, ms],
    plain: async () => {
      if ((await client.set(key, owner, "PX", ms, "NX")) === "OK") return 1;
      return (await client.get(key)) === owner ? 1 : 0;
    },
  });
  return reply === 1;
}

export async function release(client: Redis, key: string): Promise<void> {
  await runStep(client, {
    script: RELEASE,
    keys: [key],
    args: [],
    plain: () => client.del(key),
  });
}
