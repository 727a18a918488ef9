/** The redis keys of the cache, the format of its objects, and locks on keys. */
import type { Redis } from "ioredis";
import { api } from "../api";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import { tracing } from "../tracing/tracer";
import { id } from "../config/config";
import { commandClient } from "../redis/clients";
import { sleep } from "../utils/promises";
import { releaseLock, takeLock } from "./operations";

/** `config.general.cachePrefix`, read at each use: it may change with a restart. */
export function cachePrefix(): string {
  return settings().general.cachePrefix;
}

/** `config.general.lockPrefix`. */
export function lockPrefix(): string {
  return settings().general.lockPrefix;
}

export function cacheKey(key: string): string {
  return cachePrefix() + key;
}

export function lockKey(key: string): string {
  return lockPrefix() + key;
}

/**
 * The computing lock of `cache.wrap`, separate from that of `cache.lock`: while a new value is computed, the old one
 * can be read.
 */
export function computingKey(key: string): string {
  return lockKey(`wrap:${key}`);
}

/**
 * Escapes a string for a SCAN pattern. It uses brackets, because the embedded engine supports no backslash outside
 * of them, and treats `)` as part of an expression.
 */
export function escapeGlob(text: string): string {
  return text.replace(/[*?[\\)]/g, (character) =>
    character === "\\" ? "[\\\\]" : `[${character}]`,
  );
}

// --- The format of a cached object in redis: v29's, plus `freshUntil` for stale values of `wrap`.

/** Messages that clients match on. */
export enum CacheErrorMessages {
  locked = "Object locked",
  notFound = "Object not found",
}

/** The result of `load`. */
export interface CacheObject {
  /** The key, without the prefix. */
  key: string;
  value: any;
  /** When it was saved, in ms since the epoch. */
  createdAt: number;
}

interface CacheRecord {
  value?: unknown;
  createdAt: number;
  /** After this, in ms since the epoch, the value is stale (`wrap` only). */
  freshUntil?: number;
}

export function encodeRecord(value: unknown, freshUntil?: number): string {
  return JSON.stringify({ value, createdAt: Date.now(), freshUntil });
}

/** @returns undefined for a value that is not an object of the cache */
export function decodeRecord(text: string | null): CacheRecord | undefined {
  // for a list, the embedded engine returns the list, where redis returns null
  if (typeof text !== "string") return undefined;
  try {
    const record = JSON.parse(text) as CacheRecord | null;
    return typeof record === "object" && record !== null ? record : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Redis accepts only whole ms; a fraction must not become "no expiry".
 * @throws ActionheroError AH_CACHE_EXPIRY for NaN and unsafe integers
 */
export function wholeMs(ms: number): number {
  const whole = ms < 0 ? Math.floor(ms) : Math.ceil(ms);
  if (Number.isSafeInteger(whole)) return whole;
  throw new ActionheroError(
    "AH_CACHE_EXPIRY",
    `expireTimeMS is not a number of ms (${ms})`,
  );
}

export function lockedError(): ActionheroError {
  return new ActionheroError("AH_CACHE_LOCKED", CacheErrorMessages.locked);
}

export function notFoundError(): ActionheroError {
  return new ActionheroError("AH_CACHE_NOT_FOUND", CacheErrorMessages.notFound);
}

// --- The look-ups of `cache.wrap` in progress in this process, and the total count.

export interface LookUp {
  text: Promise<string>;
  /** Resolves when the computation begins. */
  computing: Promise<void>;
}

/** By client and redis key: all callers share the result of one look-up. */
const lookUps = new WeakMap<Redis, Map<string, LookUp>>();

export function lookUpsOf(redis: Redis): Map<string, LookUp> {
  const known = lookUps.get(redis);
  if (known) return known;
  const created = new Map<string, LookUp>();
  lookUps.set(redis, created);
  return created;
}

/** The objects have changed: later callers must not get a value computed from the earlier state. */
export function forgetLookUps(
  redis: Redis,
  cacheKeys: readonly string[],
): void {
  const ofClient = lookUps.get(redis);
  if (!ofClient || ofClient.size === 0) return;
  for (const key of cacheKeys) ofClient.delete(key);
}

/** For `api.metrics`, which belongs to a higher layer. */
interface Measures {
  metrics?: { watch?: { cache(hits: number, misses: number): void } };
}

export function countLookUps(hits: number, misses: number): void {
  (api as Measures).metrics?.watch?.cache(hits, misses);
  tracing.tracer?.set({
    "actionhero.cache.hits": hits,
    "actionhero.cache.misses": misses,
  });
}

export function forgetAllLookUps(redis: Redis): void {
  lookUps.delete(redis);
}

// --- Locks on cache keys: held under an owner name, released by that owner or by expiry.

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
