import * as fs from "node:fs";
import * as path from "node:path";
import { ensureNoTsHeaderOrSpecFiles } from "./ensureNoTsHeaderOrSpecFiles";

/**
 * The code files below a folder, sorted: no dot files, no type declarations, no specs and tests.
 * @param extensions which files count (default `.js` and `.ts`)
 * @returns absolute paths; empty if the folder does not exist
 */
export function listSourceFiles(
  folder: string,
  extensions: readonly string[] = [".js", ".ts"],
): string[] {
  const files: string[] = [];
  collect(path.resolve(folder), extensions, files);
  return ensureNoTsHeaderOrSpecFiles(files.sort());
}

function collect(
  folder: string,
  extensions: readonly string[],
  files: string[],
): void {
  if (!fs.existsSync(folder)) return;
  for (const entry of fs.readdirSync(folder)) {
    if (entry.startsWith(".")) continue;
    const full = path.join(folder, entry);
    const stats = fs.statSync(full, { throwIfNoEntry: false });
    if (stats?.isDirectory()) collect(full, extensions, files);
    else if (stats?.isFile() && extensions.includes(path.extname(entry)))
      files.push(full);
  }
}
