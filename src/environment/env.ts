/** What the environment says about this process. */
import * as fs from "node:fs";
import * as path from "node:path";
import { getExternalIPAddress } from "../utils/addresses";
import { timerMs } from "../utils/promises";
import { flagValue } from "./argv";
import { packageRoot } from "./paths";

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

// --- The name of this process in the cluster.

/**
 * `--title`, else ACTIONHERO_TITLE, else `test-server-N` under jest, else `config.general.id`,
 * else `<ip>:<pid>` (so that two processes on one host have different ids).
 */
export function readId(configuredId?: string): string {
  const title = flagValue("title") || process.env.ACTIONHERO_TITLE;
  if (title) return title;
  if (process.env.JEST_WORKER_ID)
    return `test-server-${process.env.JEST_WORKER_ID}`;
  if (configuredId) return configuredId;
  return `${getExternalIPAddress() ?? "actionhero"}:${process.pid}`;
}

// --- Whether this process runs TypeScript sources directly (then `src/config` is read instead of `dist/config`).

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

// --- The framework's own version.

/** `version` of this package's package.json, read from disk. */
export function readActionheroVersion(): string {
  const file = path.join(packageRoot, "package.json");
  return (JSON.parse(fs.readFileSync(file, "utf8")) as { version: string })
    .version;
}
