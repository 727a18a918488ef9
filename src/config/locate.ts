/** Finds the directories that configuration is read from. */
import * as fs from "node:fs";
import * as path from "node:path";
import { flagValues } from "../environment/argv";
import { defaultsRoot, packageRoot } from "../environment/paths";
import { ActionheroError } from "../errors";

/** Where configuration comes from, in the order in which it is applied. */
export interface ConfigDirectories {
  defaults: string;
  project: string[];
  /** Config folders of plugins, known only when the project's configuration has been read once. */
  plugins?: string[];
  /** True when this repository itself is the project, so that the default routes are its own. */
  isOwnProject: boolean;
}

/**
 * The framework's defaults, then what `--config` and ACTIONHERO_CONFIG name (lists separated by commas), else the
 * project's `src/config` (when it runs from TypeScript) or `dist/config`.
 * @throws ActionheroError AH_CONFIG when the project has none
 */
export function locateConfigDirectories(
  projectRoot: string,
  typescript: boolean,
): ConfigDirectories {
  const defaults = path.join(defaultsRoot, "config");
  const isOwnProject = realPath(projectRoot) === realPath(packageRoot);
  const named = namedDirectories(projectRoot);
  const found =
    named.length > 0 ? named : conventional(projectRoot, typescript);

  if (found === undefined && !isOwnProject) {
    throw new ActionheroError(
      "AH_CONFIG",
      "No config directory found in this project.  Did you compile your typescript project?",
    );
  }
  const project =
    isOwnProject && named.length === 0
      ? [] // its conventional directory is the defaults' own
      : (found ?? []).filter((dir) => realPath(dir) !== realPath(defaults));
  return { defaults, project, isOwnProject };
}

function namedDirectories(projectRoot: string): string[] {
  return [...flagValues("config"), process.env.ACTIONHERO_CONFIG ?? ""]
    .flatMap((list) => list.split(","))
    .map((dir) => dir.trim())
    .filter((dir) => dir !== "")
    .map((dir) => path.resolve(projectRoot, dir))
    .filter((dir) => fs.existsSync(dir));
}

function conventional(
  projectRoot: string,
  typescript: boolean,
): string[] | undefined {
  const candidates = [path.join(projectRoot, "dist", "config")];
  if (typescript) candidates.unshift(path.join(projectRoot, "src", "config"));
  const dir = candidates.find((candidate) => fs.existsSync(candidate));
  return dir === undefined ? undefined : [dir];
}

function realPath(dir: string): string {
  return fs.existsSync(dir) ? fs.realpathSync(dir) : path.resolve(dir);
}
