/** Where the command line runs: in a project, outside of one, or in one whose configuration is broken. */
import * as fs from "node:fs";
import * as path from "node:path";
import { locateConfigDirectories } from "../config/locate";
import {
  defaultsRoot,
  findProjectRoot,
  packageRoot,
} from "../environment/paths";
import { detectTypescript } from "../environment/typescript";
import { readActionheroVersion } from "../environment/version";
import { toError } from "../errors";

/** The commands of this project, or the reason why they are unknown. */
export interface ProjectState {
  /** Folders of the project's own commands; `.ts` counts only when TypeScript runs directly. */
  folders: string[];
  extensions: readonly string[];
  pluginFolders: string[];
  includeInternal: boolean;
  /** Why commands that need a project cannot run. */
  problem?: Error;
  /** True if there is a project whose configuration is broken. */
  broken: boolean;
}

/** Inspect the project in the working directory and load its configuration. */
export function inspectProject(): ProjectState {
  const typescript = detectTypescript();
  const outside: ProjectState = {
    folders: [],
    extensions: [],
    pluginFolders: [],
    includeInternal: true,
    broken: false,
  };
  try {
    locateConfigDirectories(findProjectRoot(), typescript);
  } catch (error) {
    return { ...outside, problem: toError(error) };
  }
  try {
    return readProject(typescript);
  } catch (error) {
    return { ...outside, problem: toError(error), broken: true };
  }
}

function readProject(typescript: boolean): ProjectState {
  // loaded here, because loading it is what builds the configuration
  const { settings } =
    require("../config/settings") as typeof import("../config/settings");
  const { pluginFolders, projectFolders } =
    require("../config/discover") as typeof import("../config/discover");
  return {
    folders: projectFolders("cli"),
    extensions: typescript ? [".js", ".ts"] : [".js"],
    pluginFolders: pluginFolders("cli"),
    includeInternal: settings().general.cliIncludeInternal,
    broken: false,
  };
}

/** The project's version if it has a package.json, else the framework's. */
export function versionToShow(): string {
  const file = path.join(findProjectRoot(), "package.json");
  if (!fs.existsSync(file)) return readActionheroVersion();
  const { version } = JSON.parse(fs.readFileSync(file, "utf8")) as {
    version?: string;
  };
  return version ?? readActionheroVersion();
}

/** Whether a folder contains the framework's own commands, as when this repository is the project. */
export function isOwnFolder(folder: string): boolean {
  if (!fs.existsSync(folder)) return false;
  const real = fs.realpathSync(folder);
  return [packageRoot, defaultsRoot].some(
    (root) => real === path.join(fs.realpathSync(root), "bin"),
  );
}

// --- The variables that a project keeps in its file `.env`.

/**
 * Load `.env` of the project into the environment, if its package.json contains `"actionhero": {
 * "env": true }`, like those of new projects. Variables that are already set take precedence. A
 * project in a subfolder of a package uses the package.json above it, and the `.env` there if it
 * has none itself.
 */
export function loadProjectEnv(): void {
  const root = findProjectRoot();
  const manifest = findAbove(path.resolve(root), "package.json");
  if (manifest === undefined || !wantsEnv(manifest)) return;
  const file = [root, path.dirname(manifest)]
    .map((folder) => path.join(folder, ".env"))
    .find((candidate) => fs.existsSync(candidate));
  if (file !== undefined) process.loadEnvFile(file);
}

function findAbove(folder: string, name: string): string | undefined {
  const file = path.join(folder, name);
  if (fs.existsSync(file)) return file;
  const parent = path.dirname(folder);
  return parent === folder ? undefined : findAbove(parent, name);
}

function wantsEnv(manifest: string): boolean {
  const { actionhero } = JSON.parse(fs.readFileSync(manifest, "utf8")) as {
    actionhero?: { env?: unknown };
  };
  return actionhero?.env === true;
}
