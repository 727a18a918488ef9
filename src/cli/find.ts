/** Finds the command classes in folders of code. */
import * as fs from "node:fs";
import { listSourceFiles } from "../utils/listSourceFiles";
import { loadModule } from "../utils/loadModule";
import type { CLI } from "./cli";

/** A command as exported: built-in ones may say that they work without a project. */
export type CommandClass = (new () => CLI) & { needsProject?: boolean };

/** The command classes below the folders, in order; a folder that is missing or comes twice is passed over. */
export function findCommands(
  folders: readonly string[],
  extensions: readonly string[],
): CommandClass[] {
  const seen = new Set<string>();
  const commands: CommandClass[] = [];
  for (const folder of folders) {
    for (const file of listSourceFiles(folder, extensions)) {
      const real = fs.realpathSync(file);
      if (seen.has(real)) continue;
      seen.add(real);
      commands.push(...commandsOf(loadModule(file)));
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
