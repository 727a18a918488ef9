/** The common deadline of servers and workers during a stop. */
import { api } from "../api";
import { settings } from "./settings";

/** The minimum for each part, in ms, even if an earlier part used up the time. */
const LEAST_MS = 1_000;

/** The remaining part of `general.shutdownTimeout`, in ms, in the current stop; all of it outside of a stop. */
export function shutdownTimeLeft(): number {
  const whole = settings().general.shutdownTimeout;
  const { process } = api as { process?: { stoppingSince?: number } };
  if (process?.stoppingSince === undefined) return whole;
  const left = process.stoppingSince + whole - performance.now();
  return Math.min(whole, Math.max(left, LEAST_MS));
}
