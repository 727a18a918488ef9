/** Whether this process runs TypeScript sources directly (then `src/config` is read instead of `dist/config`). */
import * as path from "node:path";

export function detectTypescript(): boolean {
  const mode = process.env.ACTIONHERO_TYPESCRIPT_MODE;
  if (mode) return mode.toLowerCase() === "true";
  if (path.extname(__filename) === ".ts") return true;
  if (isSource(process.argv[1])) return true; // only the script: a later word may be the value of any flag
  if (process.env.TS_JEST) return true;
  return hasLoader();
}

function isSource(script = ""): boolean {
  return /.\.[cm]?ts$/.test(script);
}

function hasLoader(): boolean {
  const execArgv = process.execArgv;
  const last = execArgv.at(-1);
  if (last !== undefined && path.basename(last).includes("ts-node"))
    return true;
  if (Symbol.for("ts-node.register.instance") in process) return true;
  // not `process.features.typescript`: newer versions of node set it even when they run compiled code
  return execArgv.some((word) => /(?:^|[\\/=])tsx(?:[\\/]|$)/.test(word));
}
