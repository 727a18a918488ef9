/** Where the command line runs: in a project, outside of one, or in one whose configuration is broken. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { createRequire } from "node:module";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { locateConfigDirectories } from "../config/load";
import { detectTypescript, readActionheroVersion } from "../environment/env";
import {
  defaultsRoot,
  findProjectRoot,
  packageRoot,
} from "../environment/runtime";
import { toError } from "../errors";
import { listSourceFiles } from "../utils/fileUtils";

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

// --- Commands that read the TypeScript sources of a project instead of its compiled code.

/** `types` is part of the build, where there is no compiled code yet, or none that is up to date. */
const COMMANDS = ["types"];

/** The package of new projects that runs TypeScript in Node.js. */
const LOADER = "tsx";

/**
 * Run the command line again with a TypeScript loader, if the command reads sources and the project has some. A
 * project without the loader package is read from its compiled code.
 * @returns the exit code, or undefined if this process has to run the command
 */
export async function runOnSources(
  argv: readonly string[],
): Promise<number | undefined> {
  const [, entry = "", command = ""] = argv;
  if (!COMMANDS.includes(command) || detectTypescript()) return undefined;
  const root = findProjectRoot();
  if (!hasSources(root)) return undefined;
  const loader = runsTypescript() ? undefined : findLoader(root);
  if (!loader && !runsTypescript()) return undefined;

  process.env.ACTIONHERO_TYPESCRIPT_MODE = "true";
  process.env.LOG_LEVEL ??= "error"; // a build shows what fails
  if (!loader) return undefined;
  const words = [...process.execArgv, "--import", loader, entry];
  const child = spawn(process.execPath, [...words, ...argv.slice(2)], {
    stdio: "inherit",
  });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}

function hasSources(root: string): boolean {
  return listSourceFiles(path.join(root, "src", "config"), [".ts"]).length > 0;
}

/** Bun and Deno need no loader. */
function runsTypescript(): boolean {
  return "bun" in process.versions || "deno" in process.versions;
}

/** The URL of the project's loader. */
function findLoader(root: string): string | undefined {
  const { resolve } = createRequire(path.join(path.resolve(root), "index.js"));
  try {
    return pathToFileURL(resolve(LOADER)).href;
  } catch {
    return undefined;
  }
}
