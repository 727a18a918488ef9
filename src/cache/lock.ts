/** Locks on cache keys: held under a name, freed by that name or by time. */
import type { Redis } from "ioredis";
import { id } from "../config/config";
import { settings } from "../config/settings";
import { commandClient } from "../redis/clients";
import { sleep } from "../utils/sleep";
import { lockKey } from "./keys";
import { wholeMs } from "./record";
import { releaseLock, takeLock } from "./steps";

/** Between two looks at a lock that somebody else holds, in ms. */
const LOCK_RETRY_MS = 100;

/** Replaceable: `cache.lockName = () => "me"`. */
export const lockSettings = {
  override: undefined as string | undefined,
  lockRetry: LOCK_RETRY_MS,
  lockName: defaultLockName,
};

/** The name that this process locks under: the override, else the server's id. */
function defaultLockName(): string {
  return lockSettings.override || id;
}

/** Lock under another name; a falsy one brings the server's id back. */
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
 * Hold `key` for this process, so that others cannot write, read or remove it.
 * @param expireTimeMS ms until the lock frees itself, in whole seconds, rounded up (default `config.general.lockDuration`)
 * @returns false when somebody holds the key, this process included
 * @throws ActionheroError AH_CACHE_EXPIRY for a time that is no number of ms
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
 * Free `key`.
 * @returns false when somebody else holds it; true otherwise, also when nobody did
 */
export async function unlock(key: string): Promise<boolean> {
  return releaseLock(client(), lockKey(key), lockSettings.lockName());
}

/**
 * Whether this process may use `key`: nobody, or this process, holds it.
 * @param retry true: whoever holds it; a number: wait up to that many ms for it
 * @param startTime when the waiting began, in ms since the epoch
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

/** Whether a lock with this holder lets us pass. */
export function isMine(holder: string | null | undefined): boolean {
  return holder == null || holder === lockSettings.lockName();
}

/**
 * Wait a little before looking at a lock again.
 * @returns false, at once, when the time for waiting is over
 */
export async function waitForLock(
  retry: boolean | number | undefined,
  startTime: number,
): Promise<boolean> {
  if (typeof retry !== "number" || Date.now() - startTime > retry) return false;
  await sleep(lockSettings.lockRetry);
  return true;
}
