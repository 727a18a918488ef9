/** Finds the command classes in folders of code. */
import * as fs from "node:fs";
import { toError } from "../errors";
import { listSourceFiles } from "../utils/fileUtils";
import { loadModule } from "../utils/modules";
import type { CLI } from "./cli";

/** An exported command class; built-in commands may set additional properties. */
export type CommandClass = (new () => CLI) & {
  /** False for a command that works without a project. */
  needsProject?: boolean;
  /** True if programs read its output: log lines then go to stderr. */
  printsData?: boolean;
  /** True for a command that only describes the project: an engine in this process replaces the redis server. */
  withoutRedis?: boolean;
  /** True for a command that serves until it is stopped. */
  isServer?: boolean;
  /**
   * The kind whose inputs are also flags: unknown flags are in `_arguments`, and `--help` with a name describes them.
   */
  takesInputsOf?: "action" | "task";
};

/**
 * The command classes below the folders, in order; missing and repeated folders are skipped.
 * @param onError called for each file that cannot be loaded; the other files still count
 */
export function findCommands(
  folders: readonly string[],
  extensions: readonly string[],
  onError: (file: string, error: Error) => void,
): CommandClass[] {
  const seen = new Set<string>();
  const commands: CommandClass[] = [];
  for (const folder of folders) {
    for (const file of listSourceFiles(folder, extensions)) {
      const real = fs.realpathSync(file);
      if (seen.has(real)) continue;
      seen.add(real);
      try {
        commands.push(...commandsOf(loadModule(file)));
      } catch (error) {
        onError(file, toError(error));
      }
    }
  }
  return commands;
}

/** A command extends CLI directly (of whichever copy of the package); everything else is a helper. */
function commandsOf(exported: Record<string, unknown>): CommandClass[] {
  return Object.values(exported).filter(
    (value): value is CommandClass =>
      typeof value === "function" &&
      (Object.getPrototypeOf(value) as { name?: unknown } | null)?.name ===
        "CLI",
  );
}

// --- Makes `actionhero generate action` call `generate-action`.

/** A name has at most this many words. */
const MAX_WORDS = 4;

/**
 * Join the first words if together they name a command; the longest name takes precedence.
 * @param words the arguments without node and script; a leading `help` is skipped
 */
export function joinSpacedName(
  words: readonly string[],
  commandNames: readonly string[],
): string[] {
  const before = words[0] === "help" ? ["help"] : [];
  const rest = words.slice(before.length);
  for (let count = MAX_WORDS; count > 1; count--) {
    const name = rest.slice(0, count).join("-");
    if (rest.length >= count && commandNames.includes(name))
      return [...before, name, ...rest.slice(count)];
  }
  return [...words];
}
