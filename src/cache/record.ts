/** The format of a cached object in redis: v29's, plus `freshUntil` for stale values of `wrap`. */
import { ActionheroError } from "../errors";

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

export interface CacheRecord {
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
