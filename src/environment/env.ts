/** The facts about this process: from the command line and the environment. */
import * as fs from "node:fs";
import * as path from "node:path";
import { getExternalIPAddress } from "../utils/addresses";
import { timerMs } from "../utils/promises";
import { packageRoot } from "./runtime";

const DEFAULT_STOP_TIMEOUT_MS = 30_000;

/** `development`, `test`, `production` or another name: `--NODE_ENV`, else the variable NODE_ENV, else `"development"`. */
export function readEnv(): string {
  return flagValue("NODE_ENV") || process.env.NODE_ENV || "development";
}

/** How long a stop may take before the process exits anyway, in ms: `ACTIONHERO_SHUTDOWN_TIMEOUT`, by default 30 s. */
export function stopTimeout(): number {
  const given = Number(process.env.ACTIONHERO_SHUTDOWN_TIMEOUT);
  return timerMs(given > 0 ? given : DEFAULT_STOP_TIMEOUT_MS);
}

/** @returns what is wrong with `ACTIONHERO_SHUTDOWN_TIMEOUT`; undefined without it, or if it is a number of ms */
export function problemOfStopTimeout(): string | undefined {
  const text = process.env.ACTIONHERO_SHUTDOWN_TIMEOUT;
  if (!text || Number(text) > 0) return undefined;
  return `must be a number of ms, not ${JSON.stringify(text)}`;
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

// --- Flags of the command line, read without knowing which commands exist.

/** Values of one flag in order, e.g. `["a", "b"]` for `--config a --config=b`. */
type Argv = { [flag: string]: string[] };

/** Flags the framework itself reads from any command line (spec of v29). */
export const FRAMEWORK_FLAGS = [
  "config",
  "title",
  "NODE_ENV",
  "ACTIONHERO_CONFIG_OVERRIDES",
] as const;

/**
 * Read `--flag value` and `--flag=value` pairs.
 *
 * Only the framework's own flags take the following word as a value: other flags belong to another program's grammar
 * and are read as switches unless written with `=`.
 * @param words the arguments without node and script
 */
export function parseArgv(words: readonly string[]): Argv {
  const flags: Argv = Object.create(null) as Argv;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === "--") break;
    if (!word.startsWith("--")) continue;

    const equals = word.indexOf("=");
    const name = word.slice(2, equals === -1 ? undefined : equals);
    let value = equals === -1 ? "" : word.slice(equals + 1);
    if (equals === -1 && takesValue(name) && isValue(words[i + 1])) {
      value = words[++i]!;
    }
    (flags[name] ??= []).push(value);
  }
  return flags;
}

/** Every value given for a framework flag of this process, in order. */
export function flagValues(name: (typeof FRAMEWORK_FLAGS)[number]): string[] {
  return parseArgv(process.argv.slice(2))[name] ?? [];
}

/** The last value of a framework flag of this process, or undefined. */
function flagValue(name: (typeof FRAMEWORK_FLAGS)[number]): string | undefined {
  return flagValues(name).at(-1);
}

function takesValue(name: string): boolean {
  return (FRAMEWORK_FLAGS as readonly string[]).includes(name);
}

function isValue(word: string | undefined): boolean {
  return word !== undefined && !word.startsWith("--");
}

// --- Other processes.

/** Whether a process with this id exists, ours or not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
