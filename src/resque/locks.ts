/** Locks of jobs: numeric values as resque has them, with an owner behind the point. */
import { randomBytes } from "node:crypto";
import { defineScript, runScript } from "../redis/script";
import type { Connection } from "./connection";
import type { Plugin } from "./plugin";

/** Locks of jobs live this long unless the options say otherwise, in s. */
export const LOCK_SECONDS = 3600;

// KEYS: lock. ARGV: value. Returns 1 when deleted. One step: between a GET and a DEL the lock may change hands.
const RELEASE = defineScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`);

// KEYS: lock. ARGV: value, seconds. One step for the same reason.
const RENEW = defineScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
`);

/** A value that is ours alone and still reads as "expires at this second". */
export function lockValue(seconds: number): string {
  const expiry = Math.floor(Date.now() / 1000) + seconds + 1;
  return `${expiry}.${parseInt(randomBytes(4).toString("hex"), 16)}`;
}

/** @returns false when someone else holds it */
export async function takeLock(
  connection: Connection,
  key: string,
  value: string,
  seconds: number,
): Promise<boolean> {
  return (await connection.redis.set(key, value, "EX", seconds, "NX")) === "OK";
}

export async function releaseLock(
  connection: Connection,
  key: string,
  value: string,
): Promise<void> {
  if (!connection.embedded) {
    await runScript(connection.redis, RELEASE, [key], [value]);
    return;
  }
  if ((await connection.redis.get(key)) === value)
    await connection.redis.del(key);
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
