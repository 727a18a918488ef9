/** The one deadline of a stop: what the servers and the workers wait for together. */
import { api } from "../api";
import { settings } from "./settings";

/** Each part has at least this long, also when an earlier one used up the time, in ms. */
const LEAST_MS = 1_000;

/** How much of `general.shutdownTimeout` is left, in ms, in the present stop; all of it while none goes on. */
export function shutdownTimeLeft(): number {
  const whole = settings().general.shutdownTimeout;
  const { process } = api as { process?: { stoppingSince?: number } };
  if (process?.stoppingSince === undefined) return whole;
  const left = process.stoppingSince + whole - Date.now();
  return Math.min(whole, Math.max(left, LEAST_MS));
}
