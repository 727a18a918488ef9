/** Finds paths by pattern, as version 29 did with glob 8: plugins look for their own files this way. */
import * as fs from "node:fs";
import * as path from "node:path";
import type * as minimatch from "minimatch";

/** What version 29 passed on to glob, as far as it is kept. */
export interface GlobOptions {
  /** The folder that relative patterns begin in (default: that of the process). */
  cwd?: string;
  /** Patterns of paths to leave out; `folder/**` leaves out the folder, too. */
  ignore?: string | readonly string[];
  /** Names that begin with a dot, too (default false). */
  dot?: boolean;
  /** Absolute paths for a relative pattern, too (default false). */
  absolute?: boolean;
  /** No folders (default false). */
  nodir?: boolean;
  /** Letters match in either case (default false). */
  nocase?: boolean;
}

type Segment = string | RegExp | typeof minimatch.GLOBSTAR;

/** Loaded with the first search, because nothing at boot needs it. */
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
  for (const segments of matcher.set as unknown as Segment[][])
    search.descend("", segments, false);
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
   * Find what matches the segments below a path.
   * @param isBelowGlobStar whether the path's last name stands for a part of `**`, which enters no linked folder
   */
  descend(
    parent: string,
    [segment, ...rest]: readonly Segment[],
    isBelowGlobStar: boolean,
  ): void {
    if (segment === undefined) return;
    if (typeof segment === "string") return this.visit(parent, segment, rest);
    const names = this.namesIn(parent);
    if (segment instanceof RegExp) {
      for (const name of names)
        if (segment.test(name)) this.take(parent, name, rest);
      return;
    }
    this.descend(parent, rest, false);
    if (isBelowGlobStar && this.isLink(parent)) return;
    if (rest.length === 0 && parent !== "") this.found.add(parent);
    for (const name of names) {
      if (name.startsWith(".") && !this.dot) continue;
      const child = join(parent, name);
      if (rest.length === 0) this.found.add(child);
      this.descend(child, [segment, ...rest], true);
    }
  }

  /** One name that needs no search. */
  private visit(parent: string, name: string, rest: readonly Segment[]): void {
    if (name === "" && parent === "") return this.descend("/", rest, false);
    const child = join(parent, name);
    if (rest.length > 0) return this.descend(child, rest, false);
    const full = path.resolve(this.cwd, child);
    // a pattern that ends with a slash is about folders
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
      return []; // a file, or not there, or not ours to read
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
