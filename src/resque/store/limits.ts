/** Bounds that both stores keep. */

/** Deaths of workers that a job may cause before it counts as failed. */
export const MAX_CRASHES = 2;
/** How long these are counted, in s. */
export const CRASH_SECONDS = 3600;
/** How long a tracked job is known after its last change, and an idempotency key after its use, in s. */
export const KEEP_JOB_SECONDS = 86_400;
/** `unique` locks are checked against what is there; this only clears those of classes that are gone, in s. */
export const UNIQUE_SECONDS = 30 * 86_400;
/** How far a list is searched; a job in a longer one is believed to be there. */
export const SEARCH_LENGTH = 10_000;
/** Expired processes that one renewal returns. */
export const MAX_EXPIRED = 20;
/** A job that no worker without its definition fetched for so long is not counted as unknown any more. */
export const UNKNOWN_SECONDS = 120;
