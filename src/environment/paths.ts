/** The folders of this process and this package on disk. */
import * as fs from "node:fs";
import * as path from "node:path";

/** The user's project directory: the `project_root` family of variables, else the working directory. */
export function findProjectRoot(): string {
  return (
    process.env.project_root ||
    process.env.projectRoot ||
    process.env.PROJECT_ROOT ||
    process.cwd()
  );
}

/** The parent of `src/`: the repository from source, `dist/` when compiled. It contains the compiled defaults. */
export const defaultsRoot = path.join(__dirname, "..", "..");

/** The folder of the package.json named actionhero: it contains assets and templates, which are never compiled. */
export const packageRoot = findPackageRoot(defaultsRoot);

function findPackageRoot(start: string): string {
  for (let folder = start; ; folder = path.dirname(folder)) {
    const file = path.join(folder, "package.json");
    if (fs.existsSync(file) && readName(file) === "actionhero") return folder;
    if (path.dirname(folder) === folder) return start;
  }
}

function readName(file: string): unknown {
  return (JSON.parse(fs.readFileSync(file, "utf8")) as { name?: unknown }).name;
}
