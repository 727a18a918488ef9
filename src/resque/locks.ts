/** Locks of jobs: numeric values as resque has them, with an owner behind the point. */
import { randomBytes } from "node:crypto";
import { defineScript, runScript } from "../redis/script";
import type { Connection } from "./connection";
import type { Plugin } from "./plugin";

/** Locks of jobs live this long unless the options say otherwise, in s. */
export const LOCK_SECONDS = 3600;

// KEYS: lock, and the locks that a worker holds (or none). ARGV: value, seconds. Returns 1 when taken.
// One step: a worker that dies leaves no lock that nobody knows to be its own.
const TAKE = defineScript(`
if not redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2], 'NX') then return 0 end
if KEYS[2] then redis.call('HSET', KEYS[2], KEYS[1], ARGV[1]) end
return 1
`);

// KEYS: as above. ARGV: value. Returns 1 when deleted. One step: between a GET and a DEL the lock may change hands.
const RELEASE = defineScript(`
if KEYS[2] then redis.call('HDEL', KEYS[2], KEYS[1]) end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`);

// KEYS: lock. ARGV: value, seconds. One step for the same reason.
const RENEW = defineScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
`);

export interface Lock {
  key: string;
  value: string;
  seconds: number;
}

/** The value of a lock: the second after its end. */
export function lockValue(seconds: number): string {
  return String(Math.floor(Date.now() / 1000) + seconds + 1);
}

/** A value that is ours alone and still reads as the second after the end. */
export function ownLockValue(seconds: number): string {
  return `${lockValue(seconds)}.${parseInt(randomBytes(4).toString("hex"), 16)}`;
}

/**
 * @param heldKey the locks of a worker; what is in there goes with it
 * @returns false when someone else holds it
 */
export async function takeHeldLock(
  { redis, embedded }: Connection,
  { key, value, seconds }: Lock,
  heldKey?: string,
): Promise<boolean> {
  const keys = heldKey === undefined ? [key] : [key, heldKey];
  if (!embedded)
    return (await runScript(redis, TAKE, keys, [value, seconds])) === 1;
  if ((await redis.set(key, value, "EX", seconds, "NX")) !== "OK") return false;
  if (heldKey !== undefined) await redis.hset(heldKey, key, value);
  return true;
}

export async function releaseHeldLock(
  { redis, embedded }: Connection,
  { key, value }: Pick<Lock, "key" | "value">,
  heldKey?: string,
): Promise<void> {
  const keys = heldKey === undefined ? [key] : [key, heldKey];
  if (!embedded) {
    await runScript(redis, RELEASE, keys, [value]);
    return;
  }
  if (heldKey !== undefined) await redis.hdel(heldKey, key);
  if ((await redis.get(key)) === value) await redis.del(key);
}

export async function renewLock(
  connection: Connection,
  key: string,
  value: string,
  seconds: number,
): Promise<void> {
  if (!connection.embedded) {
    await runScript(connection.redis, RENEW, [key], [value, seconds]);
    return;
  }
  if ((await connection.redis.get(key)) === value)
    await connection.redis.expire(key, seconds);
}

/** The key of a lock of a job, which the options of its plugin may name. */
export function lockKey(plugin: Plugin, kind: "lock" | "workerslock"): string {
  const { key } = plugin.options as { key?: string | (() => string) };
  if (key !== undefined)
    return typeof key === "function" ? key.apply(plugin) : key;
  return plugin.queueObject.connection.key(
    kind,
    plugin.func,
    plugin.queue,
    JSON.stringify(plugin.args),
  );
}
