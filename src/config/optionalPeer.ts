/** Optional packages, which a project installs only for features that it uses. */
import { runInThisContext } from "node:vm";
import { ActionheroError } from "../errors";
import { config } from "./config";

/**
 * Load such a package: the project's copy, else the one that the framework resolves.
 * @param user the setting or function that requires it, for the error
 * @throws ActionheroError AH_CONFIG when it is not installed
 */
export function requirePeer<T>(name: string, user: string): T {
  let file: string;
  try {
    const { projectRoot } = config.process;
    file = require.resolve(name, { paths: [projectRoot, __dirname] });
  } catch (cause) {
    throw new ActionheroError(
      "AH_CONFIG",
      `${user} needs the package ${name}: npm install ${name}`,
      { cause },
    );
  }
  try {
    return require(file) as T;
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ERR_REQUIRE_ESM") throw error;
    return requireByNode(file) as T;
  }
}

/** The `require` of jest refuses ES modules where that of Node.js loads them. */
function requireByNode(file: string): unknown {
  // outside of the context in which jest runs tests
  const { createRequire } = runInThisContext(
    'process.getBuiltinModule("node:module")',
  ) as typeof import("node:module");
  return createRequire(file)(file) as unknown;
}
