/** The exported `utils`. */
import { performance } from "node:perf_hooks";
import { parseArgv, isRunning } from "./environment/env";
import {
  filterObjectForLogging,
  filterResponseForLogging,
} from "./log/filters";
import {
  arrayStartingMatch,
  arrayUnique,
  collapseObjectToArray,
  deepCopy,
  hashMerge,
  isPlainObject,
} from "./utils/objects";
import {
  ensureNoTsHeaderOrSpecFiles,
  sourceRelativeLinkPath,
} from "./utils/fileUtils";
import * as fileUtils from "./utils/fileUtils";
import {
  getExternalIPAddress,
  parseHeadersForClientAddress,
  parseIPv6URI,
} from "./utils/addresses";
import { parseCookies } from "./cookie/cookies";
import { replaceDistWithSrc } from "./config/discover";
import { sleep } from "./utils/promises";
import { sortGlobalMiddleware } from "./middleware/stack";
import * as fs from "node:fs";
import * as path from "node:path";
import type * as minimatch from "minimatch";

/** The last value of each flag on the command line, `""` for one without a value. */
const argv: { [flag: string]: string } = Object.fromEntries(
  Object.entries(parseArgv(process.argv.slice(2))).map(([flag, values]) => [
    flag,
    values.at(-1)!,
  ]),
);

export const utils = {
  argv,
  arrayStartingMatch,
  arrayUnique,
  collapseObjectToArray,
  deepCopy,
  ensureNoTsHeaderOrSpecFiles,
  /** The name of `ensureNoTsHeaderOrSpecFiles` in version 28. */
  ensureNoTsHeaderFiles: ensureNoTsHeaderOrSpecFiles,
  eventLoopDelay,
  filterObjectForLogging,
  filterResponseForLogging,
  getExternalIPAddress,
  hashMerge,
  isPlainObject,
  parseHeadersForClientAddress,
  parseCookies,
  parseIPv6URI,
  replaceDistWithSrc,
  sleep,
  sortGlobalMiddleware,
  sourceRelativeLinkPath,
  fileUtils,
  safeGlobSync,
  isRunning,
};

/**
 * How busy the event loop is.
 * @param iterations hops to measure (default 10,000)
 * @returns ten times the mean milliseconds of one `process.nextTick` hop, to 3 decimals; the scale is version 29's
 * (`utils.eventLoopDelay`). `MultiWorker` does not use it: it measures how late its own timer fires
 */
async function eventLoopDelay(iterations = 10000): Promise<number> {
  let total = 0;
  for (let i = 0; i < iterations; i++) total += await measureHop();
  return Math.round((total / iterations) * 10000) / 1000;
}

function measureHop(): Promise<number> {
  return new Promise((resolve) => {
    const start = performance.now();
    process.nextTick(() => resolve(performance.now() - start));
  });
}

// --- Finds paths by pattern, like glob 8 in version 29: plugins use it to find their own files.

/** The supported options of glob in version 29. */
export interface GlobOptions {
  /** The base folder of relative patterns (default: the working directory). */
  cwd?: string;
  /** Patterns of paths to exclude; `folder/**` also excludes the folder itself. */
  ignore?: string | readonly string[];
  /** Include names that begin with a dot (default false). */
  dot?: boolean;
  /** Also return absolute paths for a relative pattern (default false). */
  absolute?: boolean;
  /** Exclude folders (default false). */
  nodir?: boolean;
  /** Ignore case (default false). */
  nocase?: boolean;
}

type Segment = string | RegExp | typeof minimatch.GLOBSTAR;

/** Loaded at the first search, because the boot does not need it. */
const library = () => require("minimatch") as typeof minimatch;

/**
 * Paths matching a pattern, sorted; absolute patterns give absolute paths, dot files are left out.
 * On Windows, backslashes in the pattern separate folders.
 */
export function safeGlobSync(match: string, args: GlobOptions = {}): string[] {
  const pattern =
    process.platform === "win32" ? match.replaceAll("\\", "/") : match;
  const { cwd = process.cwd(), dot = false, nocase = false } = args;
  const { Minimatch } = library();
  const matcher = new Minimatch(pattern, {
    dot,
    nocase,
    nocomment: true,
    nonegate: true,
  });
  const search = new Search(cwd, dot);
  for (const segments of matcher.set) search.descend("", segments, false);
  return [...search.found]
    .filter((found) => !isIgnored(found, args.ignore))
    .filter((found) => !args.nodir || !isFolder(path.resolve(cwd, found)))
    .map((found) => (args.absolute ? path.resolve(cwd, found) : found))
    .sort((a, b) => a.localeCompare(b, "en"));
}

class Search {
  readonly found = new Set<string>();

  constructor(
    private readonly cwd: string,
    private readonly dot: boolean,
  ) {}

  /**
   * Find paths below a folder that match the remaining segments.
   * @param isBelowGlobStar whether the path's last name matched `**`, which does not follow links to folders
   */
  descend(
    parent: string,
    [segment, ...rest]: readonly Segment[],
    isBelowGlobStar: boolean,
  ): void {
    if (segment === undefined) return;
    if (typeof segment === "string") return this.visit(parent, segment, rest);
    if (segment instanceof RegExp) {
      for (const name of this.namesIn(parent))
        if (segment.test(name)) this.take(parent, name, rest);
      return;
    }
    this.descend(parent, rest, false);
    if (isBelowGlobStar && this.isLink(parent)) return;
    this.descendAll(parent, [segment, ...rest]);
  }

  /** Below `**`: every folder, at any depth. */
  private descendAll(parent: string, segments: readonly Segment[]): void {
    const isLast = segments.length === 1;
    if (isLast && parent !== "") this.found.add(parent);
    for (const name of this.namesIn(parent)) {
      if (name.startsWith(".") && !this.dot) continue;
      const child = join(parent, name);
      if (isLast) this.found.add(child);
      this.descend(child, segments, true);
    }
  }

  /** A literal name, which needs no search. */
  private visit(parent: string, name: string, rest: readonly Segment[]): void {
    if (name === "" && parent === "") return this.descend("/", rest, false);
    const child = join(parent, name);
    if (rest.length > 0) return this.descend(child, rest, false);
    const full = path.resolve(this.cwd, child);
    // a pattern that ends with a slash matches folders only
    if (name === "" ? isFolder(full) : fs.existsSync(full))
      this.found.add(child);
  }

  private take(parent: string, name: string, rest: readonly Segment[]): void {
    const child = join(parent, name);
    if (rest.length === 0) this.found.add(child);
    else this.descend(child, rest, false);
  }

  private namesIn(folder: string): string[] {
    try {
      return fs.readdirSync(path.resolve(this.cwd, folder));
    } catch {
      return []; // a file, missing, or not readable
    }
  }

  private isLink(folder: string): boolean {
    const stats = fs.lstatSync(path.resolve(this.cwd, folder), {
      throwIfNoEntry: false,
    });
    return stats?.isSymbolicLink() === true;
  }
}

function join(parent: string, name: string): string {
  if (parent === "") return name;
  return parent.endsWith("/") ? parent + name : `${parent}/${name}`;
}

function isIgnored(found: string, ignore: GlobOptions["ignore"] = []): boolean {
  const { Minimatch } = library();
  return [ignore].flat().some((pattern) => {
    const isMatch = (one: string) =>
      new Minimatch(one, { dot: true }).match(found);
    return (
      isMatch(pattern) ||
      (pattern.endsWith("/**") && isMatch(pattern.slice(0, -3)))
    );
  });
}

function isFolder(full: string): boolean {
  return fs.statSync(full, { throwIfNoEntry: false })?.isDirectory() === true;
}
