/** Keeps the compiled code of a project and its packages for the next start, where Node.js can do that. */
import * as fs from "node:fs";
import * as nodeModule from "node:module";
import * as path from "node:path";

/** What `node:module` has since Node.js 22.1. */
interface CompileCache {
  enableCompileCache?: (folder: string) => unknown;
}

/**
 * A start then compiles only what has changed, which is a fifth of its time. The code is kept below the project's
 * `node_modules`, because other users of the machine can write to Node's default, a folder for temporary files. A folder
 * that cannot be written is no reason not to start. `NODE_COMPILE_CACHE` names another folder, and
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
