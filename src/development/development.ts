/** `config.general.developmentMode`: hot reload of changed code. */
import * as fs from "node:fs";
import { api } from "../api";
import { env } from "../config/config";
import { settings } from "../config/settings";
import { log } from "../log/log";
import { listSourceFiles } from "../utils/fileUtils";
import { keepTypes } from "./actionTypes";
import { Reloader, sourceFolders, watchedRoots } from "./reloader";

export class DevelopmentMode {
  private watcher?: SourceWatcher;

  /** Watch the project's code, if enabled; never in tests. */
  start(): void {
    keepTypes();
    if (!settings().general.developmentMode || env === "test") return;
    const folders = sourceFolders();
    const watcher = new SourceWatcher(watchedRoots(folders), (changed) => {
      void reloader.take(changed);
    });
    const reloader: Reloader = new Reloader(
      folders,
      () => watcher.files,
      () => restartServer(watcher, reloader),
    );
    this.watcher = watcher;
    watcher.start();
    log("development mode: changes of the code are taken at once", "notice");
  }

  stop(): void {
    this.watcher?.stop();
  }
}

/**
 * The new server starts its own watcher; if it does not start, this watcher waits for a change.
 * @returns whether it started
 */
async function restartServer(
  watcher: SourceWatcher,
  reloader: Reloader,
): Promise<boolean> {
  watcher.stop();
  let started = true;
  try {
    await api.commands.restart?.();
  } catch {
    started = false; // the process has reported why
    log("the server is down until the code changes", "error");
  }
  const missed = watcher.differences();
  if (missed.length > 0) void reloader.take(missed);
  if (!started) watcher.start();
  return started;
}

// --- Reports changed, added and removed code files below some folders.

/** Editors write a file in several steps, compilers many files: wait until it is quiet for this long, in ms. */
const QUIET_MS = 50;

/**
 * Events of the file system only trigger a scan. Changes are found by comparing the files with the last scan, so
 * lost, duplicate or misnamed events do no harm.
 */
class SourceWatcher {
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

  /** Scan now; each change is reported once. */
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
      watcher.on("error", () => this.lookSoon()); // the folder was removed
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

/** The size and modification time of a file at the last scan. */
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
