/** Limits of both stores. */

/** Deaths of workers that a job may cause before it counts as failed. After so many, it runs alone in its process. */
export const MAX_CRASHES = 2;
/** How long these deaths are counted, in s. */
export const CRASH_SECONDS = 3600;
/** How long a tracked job is stored after its last change, and an idempotency key after its use, in s. */
export const KEEP_JOB_SECONDS = 86_400;
/** `unique` locks are checked against existing jobs; this expiry, in s, only removes locks of removed classes. */
export const UNIQUE_SECONDS = 30 * 86_400;
/** How far a list is searched; a job is assumed to be in a longer one. */
export const SEARCH_LENGTH = 10_000;
/** Expired processes that one renewal returns. */
export const MAX_EXPIRED = 20;
/** How long jobs are kept for a node that has not announced itself yet, in s. */
export const UNSEEN_NODE_SECONDS = 3600;
/** A job that no worker without its definition fetched for this long is no longer counted as unknown. */
export const UNKNOWN_SECONDS = 120;
