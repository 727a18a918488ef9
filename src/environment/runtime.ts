/** The surroundings of this process: the folders of the project and of this package, and Node.js. */
import * as fs from "node:fs";
import * as path from "node:path";
import * as nodeModule from "node:module";

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

// --- The version of Node.js.

/** The oldest minor version of each supported major version of Node.js; all newer major versions are supported. */
const OLDEST_MINORS = new Map([
  [20, 19],
  [22, 12],
]);

/**
 * Must be called before any feature that older versions of Node.js lack.
 * @throws Error for an unsupported Node.js
 */
export function requireNode(version = process.versions.node): void {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > 22 || minor >= (OLDEST_MINORS.get(major) ?? Infinity)) return;
  throw new Error(
    `actionhero needs Node.js 20.19, or 22.12 or newer; this is ${version}`,
  );
}

// --- The compiled code of a project and its packages is kept for the next start, where Node.js can do that.

/** Members of `node:module` since Node.js 22.1. */
interface CompileCache {
  enableCompileCache?: (folder: string) => unknown;
}

/**
 * A start then compiles only what has changed, which is a fifth of its time. The code is kept below the project's
 * `node_modules`, because other users of the machine can write to Node's default, a folder for temporary files. A write
 * error is ignored. `NODE_COMPILE_CACHE` names another folder, and
 * `NODE_DISABLE_COMPILE_CACHE=1` turns it off.
 * @param root the folder of the project; without `node_modules`, nothing is kept
 */
export function keepCompiledCode(
  root: string,
  { enableCompileCache }: CompileCache = nodeModule as CompileCache,
): void {
  const packages = path.join(root, "node_modules");
  if (!enableCompileCache || !fs.existsSync(packages)) return;
  enableCompileCache(path.join(packages, ".cache", "compiled"));
}
