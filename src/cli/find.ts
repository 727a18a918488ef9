/** Finds the command classes in folders of code. */
import * as fs from "node:fs";
import { toError } from "../errors";
import { listSourceFiles } from "../utils/listSourceFiles";
import { loadModule } from "../utils/loadModule";
import type { CLI } from "./cli";

/** A command as exported; built-in ones may say more of themselves. */
export type CommandClass = (new () => CLI) & {
  /** False for a command that works without a project. */
  needsProject?: boolean;
  /** True when programs read what it prints: log lines go to stderr then. */
  printsData?: boolean;
  /** True for a command that serves until it is stopped. */
  isServer?: boolean;
  /** Whose inputs are its flags, too: unknown flags reach `_arguments`, and `--help` with a name describes them. */
  takesInputsOf?: "action" | "task";
};

/**
 * The command classes below the folders, in order; a folder that is missing or comes twice is passed over.
 * @param onError hears of each file that cannot be loaded; the commands of the others are there all the same
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
