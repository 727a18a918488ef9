/** Optional packages, which a project installs only for features that it uses. */
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
  return require(file) as T;
}
