/** What the environment says about this process. */
import { flagValue } from "./argv";
import { timerMs } from "../utils/timers";

const DEFAULT_STOP_TIMEOUT_MS = 30_000;

/** `development`, `test`, `production` or another name: `--NODE_ENV`, else the variable NODE_ENV, else `"development"`. */
export function readEnv(): string {
  return flagValue("NODE_ENV") || process.env.NODE_ENV || "development";
}

/** How long a stop may take before the process exits anyway, in ms: `ACTIONHERO_SHUTDOWN_TIMEOUT`, by default 30 s. */
export function stopTimeout(): number {
  const given = parseInt(process.env.ACTIONHERO_SHUTDOWN_TIMEOUT ?? "", 10);
  return timerMs(given || DEFAULT_STOP_TIMEOUT_MS);
}
