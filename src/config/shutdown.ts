/** The common deadline of servers and workers during a stop. */
import { api } from "../api";
import { settings } from "./settings";

/** How long all goodbyes, pending output and temporary files together may take after the deadline, in ms. */
const GRACE_MS = 1_000;

/** The minimum for each part, in ms, even if earlier parts used up the grace period. */
const LEAST_MS = 100;

/**
 * The remaining time of the current stop, in ms: of `general.shutdownTimeout` and of the grace period after it, at least 100.
 * Outside of a stop, all of `general.shutdownTimeout`.
 */
export function shutdownTimeLeft(): number {
  const whole = settings().general.shutdownTimeout;
  const { process } = api as { process?: { stoppingSince?: number } };
  if (process?.stoppingSince === undefined) return whole;
  const left = process.stoppingSince + whole - performance.now();
  return Math.min(whole, withGrace(left));
}

/** @param leftMs until the deadline, in ms; negative after it */
export function withGrace(leftMs: number): number {
  const graceMs = Math.min(GRACE_MS, leftMs + GRACE_MS);
  return Math.round(Math.max(leftMs, graceMs, LEAST_MS));
}
