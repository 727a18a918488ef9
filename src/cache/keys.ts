/** The redis keys of the cache. */
import type { Redis } from "ioredis";
import { api } from "../api";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import { tracing } from "../tracing/tracer";

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
  /** Without the prefix. */
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

export function lookUpsOf(client: Redis): Map<string, LookUp> {
  const known = lookUps.get(client);
  if (known) return known;
  const created = new Map<string, LookUp>();
  lookUps.set(client, created);
  return created;
}

/** The objects have changed: later callers must not get a value computed from the earlier state. */
export function forgetLookUps(
  client: Redis,
  cacheKeys: readonly string[],
): void {
  const ofClient = lookUps.get(client);
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

export function forgetAllLookUps(client: Redis): void {
  lookUps.delete(client);
}
