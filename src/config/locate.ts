/** Finds the directories that configuration is read from. */
import * as fs from "node:fs";
import * as path from "node:path";
import { flagValues } from "../environment/argv";
import { explainable } from "../environment/bootErrors";
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
 * The framework's defaults, then the directories of `--config` and ACTIONHERO_CONFIG (separated by commas), else the
 * project's `src/config` (when it runs from TypeScript) or `dist/config`.
 * @throws ActionheroError AH_CONFIG when the project has none, or when a named one does not exist
 */
export function locateConfigDirectories(
  projectRoot: string,
  typescript: boolean,
): ConfigDirectories {
  const defaults = path.join(defaultsRoot, "config");
  const isOwnProject = realPath(projectRoot) === realPath(packageRoot);
  const named = namedConfigDirectories(projectRoot);
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
      ? [] // its conventional directory is that of the defaults
      : (found ?? []).filter((dir) => realPath(dir) !== realPath(defaults));
  return { defaults, project, isOwnProject };
}

/**
 * The directories that `--config` and ACTIONHERO_CONFIG name, relative to the project.
 *
 * The flag may belong to a host tool, as in `jest --config jest.config.js`: there, only existing directories are
 * used.
 * @throws ActionheroError AH_CONFIG when a directory named by the variable, or on our own command line, does not exist
 */
export function namedConfigDirectories(projectRoot: string): string[] {
  const split = (source: string, lists: readonly string[]) =>
    lists
      .flatMap((list) => list.split(","))
      .map((dir) => dir.trim())
      .filter((dir) => dir !== "")
      .map((dir) => ({ source, dir: path.resolve(projectRoot, dir) }));
  const flags = split("--config", flagValues("config"));
  const named = [
    ...(isOwnCommandLine() ? flags : flags.filter(({ dir }) => isFolder(dir))),
    ...split("ACTIONHERO_CONFIG", [process.env.ACTIONHERO_CONFIG ?? ""]),
  ];
  const missing = named.find(({ dir }) => !isFolder(dir));
  if (missing) {
    throw explainable(
      new ActionheroError(
        "AH_CONFIG",
        `the config directory ${missing.dir} does not exist (named by ${missing.source})`,
      ),
    );
  }
  return named.map(({ dir }) => dir);
}

/** Whether this process was started by a program of this package, such as `actionhero`. */
function isOwnCommandLine(): boolean {
  const program = process.argv[1];
  if (!program) return false;
  const relative = path.relative(realPath(packageRoot), realPath(program));
  const [first] = relative.split(path.sep);
  return !path.isAbsolute(relative) && !["..", "node_modules"].includes(first!);
}

function isFolder(dir: string): boolean {
  return fs.statSync(dir, { throwIfNoEntry: false })?.isDirectory() === true;
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
