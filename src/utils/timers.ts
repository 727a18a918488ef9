/** Durations that come from settings or callers. */

/** The longest time of node's timers, in ms: 24.8 days. Those of a longer one end at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** A duration for a timer: beyond the longest one, such as Infinity, it is that one. */
export function timerMs(ms: number): number {
  return Math.min(ms, MAX_TIMER_MS);
}
