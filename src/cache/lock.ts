/** Locks on cache keys: held under an owner name, released by that owner or by expiry. */
import type { Redis } from "ioredis";
import { id } from "../config/config";
import { settings } from "../config/settings";
import { commandClient } from "../redis/clients";
import { sleep } from "../utils/promises";
import { lockKey, wholeMs } from "./keys";
import { releaseLock, takeLock } from "./steps";

/** Interval of checks of a lock that another owner holds, in ms. */
const LOCK_RETRY_MS = 100;

/** Replaceable: `cache.lockName = () => "me"`. */
export const lockSettings = {
  override: undefined as string | undefined,
  lockRetry: LOCK_RETRY_MS,
  lockName: defaultLockName,
};

/** The owner name of this process's locks: the override, else the server's id. */
function defaultLockName(): string {
  return lockSettings.override || id;
}

/** Lock under another name; a falsy name restores the server's id. */
export function overrideLockName(name: string): void {
  lockSettings.override = name;
}

/** `config.general.lockDuration`, in ms. */
export function lockDuration(): number {
  return settings().general.lockDuration;
}

/** The client of the cache. */
export function client(): Redis {
  return commandClient("cache");
}

/**
 * Lock `key` for this process, so that others cannot write, read or remove it.
 * @param expireTimeMS ms until the lock expires, rounded up to whole seconds (default `config.general.lockDuration`)
 * @returns false when any owner, including this process, holds the key
 * @throws ActionheroError AH_CACHE_EXPIRY for a time that is not a number of ms
 */
export async function lock(
  key: string,
  expireTimeMS: number = lockDuration(),
): Promise<boolean> {
  const wholeSeconds = Math.max(Math.ceil(wholeMs(expireTimeMS) / 1000), 1);
  return takeLock(
    client(),
    lockKey(key),
    lockSettings.lockName(),
    wholeSeconds * 1000,
  );
}

/**
 * Release `key`.
 * @returns false when another owner holds it; true otherwise, even if it was not locked
 */
export async function unlock(key: string): Promise<boolean> {
  return releaseLock(client(), lockKey(key), lockSettings.lockName());
}

/**
 * Whether this process may use `key`: it is unlocked, or locked by this process.
 * @param retry true: ignore the lock; a number: wait up to that many ms for it
 * @param startTime start of the wait, in ms since the epoch
 */
export async function checkLock(
  key: string,
  retry: boolean | number = false,
  startTime: number = Date.now(),
): Promise<boolean> {
  if (retry === true) return true;
  for (;;) {
    const holder = await client().get(lockKey(key));
    if (isMine(holder)) return true;
    if (!(await waitForLock(retry, startTime))) return false;
  }
}

/** Whether a lock with this holder allows access. */
export function isMine(holder: string | null | undefined): boolean {
  return holder == null || holder === lockSettings.lockName();
}

/**
 * Pause before checking a lock again.
 * @returns false, at once, when the wait has timed out
 */
export async function waitForLock(
  retry: boolean | number | undefined,
  startTime: number,
): Promise<boolean> {
  if (typeof retry !== "number" || Date.now() - startTime > retry) return false;
  await sleep(lockSettings.lockRetry);
  return true;
}
