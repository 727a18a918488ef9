/** Durations that come from settings or callers. */

/** The longest delay of node's timers, in ms (24.8 days); a longer one fires immediately. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Limits a delay, which may be Infinity, to the longest that timers support. */
export function timerMs(ms: number): number {
  return Math.min(ms, MAX_TIMER_MS);
}
