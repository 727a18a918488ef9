/** Tasks that come with the framework, and are loaded when `config.tasks.builtin` names them. */
import * as fs from "node:fs/promises";
import * as path from "node:path";
import { api } from "../api";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import { log } from "../log/log";
import { Task } from "./task";

// --- Removes log files that have become too large.

/**
 * Once a minute, every node checks the folders of `config.general.paths.log`, and removes files of more than
 * `config.general.maxLogFileSize` bytes. The framework's own loggers begin a new file then; one that keeps its file
 * open writes on into the removed one.
 */
class CleanLogFiles extends Task {
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

/** Extend them, or load them from your own file. */
export const builtinTasks = { CleanLogFiles };

/**
 * The tasks that the configuration lists, except those that the project defines itself.
 * @throws ActionheroError AH_CONFIG for an unknown name
 */
export function configuredTasks(): Task[] {
  const names = settings().tasks.builtin;
  const tasks: Task[] = Object.values(builtinTasks).map((Class) => new Class());
  return names
    .map((name) => {
      const found = tasks.find((task) => task.name === name);
      if (found) return found;
      throw new ActionheroError(
        "AH_CONFIG",
        `tasks.builtin has no ${String(name)}; there are: ${tasks.map((task) => task.name).join(", ")}`,
      );
    })
    .filter(({ name }) => !Object.hasOwn(api.tasks.tasks, name));
}
