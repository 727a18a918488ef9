/** Removes log files that have become too large. */
import * as fs from "node:fs/promises";
import * as path from "node:path";
import { settings } from "../config/settings";
import { log } from "../log/log";
import { Task } from "./task";

/**
 * Once a minute, every node checks the folders of `config.general.paths.log`, and removes files of more than
 * `config.general.maxLogFileSize` bytes. The framework's own loggers begin a new file then; one that keeps its file
 * open writes on into the removed one.
 */
export class CleanLogFiles extends Task {
  constructor() {
    super();
    this.name = "cleanLogFiles";
    this.description = "Removes log files that have become too large";
    this.frequency = 60 * 1000;
    this.scope = "all";
  }

  /** @returns the paths of the removed files */
  async run(): Promise<string[]> {
    const { paths, maxLogFileSize } = settings().general;
    const removed: string[] = [];
    for (const folder of new Set(paths.log)) {
      for (const name of await namesIn(folder)) {
        const file = path.join(folder, name);
        const size = await sizeOf(file);
        if (size === undefined || size <= maxLogFileSize) continue;
        await fs.rm(file, { force: true }); // another node may have removed it first
        log(`removed the log file ${file}, which had ${size} bytes`, "notice");
        removed.push(file);
      }
    }
    return removed;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return fs.readdir(folder).catch(() => []);
}

/** Undefined for folders and links, which are ignored. */
async function sizeOf(file: string): Promise<number | undefined> {
  const stats = await fs.lstat(file).catch(() => undefined);
  return stats?.isFile() ? stats.size : undefined;
}
