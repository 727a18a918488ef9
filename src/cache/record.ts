/** The form of a cached object in redis: v29's, plus `freshUntil` for what `wrap` keeps beyond its time. */
import { ActionheroError } from "../errors";

/** Messages that clients match on. */
export enum CacheErrorMessages {
  locked = "Object locked",
  notFound = "Object not found",
}

/** What `load` gives. */
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

/** @returns undefined for what is no object of the cache */
export function decodeRecord(text: string | null): CacheRecord | undefined {
  // the embedded engine gives lists, too, where redis says null
  if (typeof text !== "string") return undefined;
  try {
    const record = JSON.parse(text) as CacheRecord | null;
    return typeof record === "object" && record !== null ? record : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Redis takes whole ms only; a fraction must not turn into "for ever".
 * @throws ActionheroError AH_CACHE_EXPIRY for NaN and what is beyond whole numbers
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
