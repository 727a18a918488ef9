/** Which environment (`development`, `test`, `production`, ...) this process runs in. */
import { flagValue } from "./argv";

/** `--NODE_ENV`, else the variable NODE_ENV, else `"development"`. */
export function readEnv(): string {
  return flagValue("NODE_ENV") || process.env.NODE_ENV || "development";
}
