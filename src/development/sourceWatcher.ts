/** Tells which code files below some folders were changed, made or removed. */
import * as fs from "node:fs";
import { listSourceFiles } from "../utils/listSourceFiles";

/** Editors write a file in several steps, compilers many files: wait until it is quiet for this long, in ms. */
const QUIET_MS = 50;

/**
 * The events of the file system only say that it is time to look: what changed is found by comparing the files with
 * what they were, so that no event that is lost, doubled or wrongly named matters.
 */
export class SourceWatcher {
  private watchers = new Map<string, fs.FSWatcher>();
  private stamps = new Map<string, string>();
  private timer?: NodeJS.Timeout;

  constructor(
    private readonly roots: readonly string[],
    private readonly changed: (files: string[]) => void,
  ) {}

  start(): void {
    this.stamps = stampsOf(this.roots);
    this.watchFolders();
  }

  stop(): void {
    clearTimeout(this.timer);
    for (const watcher of this.watchers.values()) watcher.close();
    this.watchers.clear();
  }

  /** All files as of the last look. */
  get files(): ReadonlySet<string> {
    return new Set(this.stamps.keys());
  }

  /** Look now; what is found once is not told again. */
  differences(): string[] {
    const now = stampsOf(this.roots);
    const known = new Set([...this.stamps.keys(), ...now.keys()]);
    const different = [...known].filter(
      (file) => now.get(file) !== this.stamps.get(file),
    );
    this.stamps = now;
    return different;
  }

  private watchFolders(): void {
    const wanted = new Set(this.roots.flatMap(foldersBelow));
    for (const [folder, watcher] of this.watchers) {
      if (wanted.has(folder)) continue;
      watcher.close();
      this.watchers.delete(folder);
    }
    for (const folder of wanted) {
      if (!this.watchers.has(folder)) this.watchFolder(folder);
    }
  }

  private watchFolder(folder: string): void {
    try {
      const watcher = fs.watch(folder, () => this.lookSoon());
      watcher.on("error", () => this.lookSoon()); // the folder is gone
      this.watchers.set(folder, watcher);
    } catch {
      // the folder went between being listed and being watched
    }
  }

  private lookSoon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), QUIET_MS);
  }

  private look(): void {
    this.watchFolders();
    const different = this.differences();
    if (different.length > 0) this.changed(different);
  }
}

/** What a file was when it was last looked at: its size and the time of its last change. */
function stampsOf(roots: readonly string[]): Map<string, string> {
  const stamps = new Map<string, string>();
  for (const file of roots.flatMap((root) => listSourceFiles(root))) {
    const stats = fs.statSync(file, { throwIfNoEntry: false });
    if (stats) stamps.set(file, `${stats.mtimeMs} ${stats.size}`);
  }
  return stamps;
}

function foldersBelow(root: string): string[] {
  if (!fs.existsSync(root)) return [];
  const inside = fs
    .readdirSync(root, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${entry.parentPath}/${entry.name}`);
  return [root, ...inside];
}
