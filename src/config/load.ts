/** Finds the files of the configuration, and builds it from them: DEFAULT and environment blocks, retries, the second pass, routes. */
import * as fs from "node:fs";
import * as path from "node:path";
import { explainable } from "../environment/bootErrors";
import { ActionheroError, loadFailure, toError } from "../errors";
import { arrayUnique, hashMerge, hasPath, mergeBlock } from "../utils/objects";
import { listSourceFiles } from "../utils/fileUtils";
import { loadModule } from "../utils/modules";
import type {
  ActionheroConfigInterface,
  ConfigBlock,
  PluginConfig,
  PluginConfigRecord,
  ProcessConfig,
} from "./types";
import { flagValues } from "../environment/env";
import { defaultsRoot, packageRoot } from "../environment/runtime";
import { isDeepStrictEqual } from "node:util";

type Config = ActionheroConfigInterface;
type RouteEntry = {
  path?: unknown;
  action?: unknown;
  apiVersion?: unknown;
  matchTrailingPathParts?: unknown;
  dir?: unknown;
};
type RouteTables = Record<string, RouteEntry[] | undefined>;

interface LoadedConfig {
  config: Config;
  replaced: ReplacedSetting[];
}

/** Namespaces that the framework reads; they exist even when no file defines them. */
const NAMESPACES = ["general", "plugins", "routes", "web"];

/**
 * Apply the defaults, those of plugins, then each project directory in order.
 * @throws ActionheroError AH_CONFIG naming every file that cannot be loaded
 */
export function loadConfig(
  directories: ConfigDirectories,
  processConfig: ProcessConfig,
): LoadedConfig {
  const replaced: ReplacedSetting[] = [];
  const applyDirectory = (present: Config, files: string[]) => {
    const applied = applyFiles(present, files);
    replaced.push(...applied.replaced);
    return applied.config;
  };
  let config = { process: { ...processConfig } } as Config;
  for (const namespace of NAMESPACES) config[namespace] = {};

  const defaultFiles = listSourceFiles(directories.defaults);
  config = applyDirectory(
    config,
    directories.isOwnProject ? defaultFiles : defaultFiles.filter(isNotRoutes),
  );
  const ownRoutes = config.routes;
  config.routes = {};
  for (const directory of directories.plugins ?? []) {
    config = applyDirectory(config, listSourceFiles(directory, [".js"]));
  }
  const pluginRoutes = config.routes as RouteTables;
  config.routes = ownRoutes!;
  for (const directory of directories.project) {
    config = applyDirectory(config, listSourceFiles(directory));
  }
  if (directories.plugins) {
    // the first match is used, and the project's routes must precede those of its plugins
    const tables = appendRoutes(config.routes, pluginRoutes);
    config.routes = uniqueRoutes(tables);
  }
  return { config, replaced };
}

/**
 * A file may read a namespace that a later file defines: one that fails is retried after the others, and the whole
 * directory is applied twice so that values derived from each other settle.
 */
function applyFiles(config: Config, files: string[]): LoadedConfig {
  const { config: firstPass, order } = applyWithRetries(config, files);
  const replacements = new ReplacedSettings();
  const secondPass = order.reduce(
    (present, file) => applyFile(present, file, replacements),
    firstPass,
  );
  secondPass.routes = uniqueRoutes(secondPass.routes);
  return { config: secondPass, replaced: replacements.found() };
}

function applyWithRetries(
  config: Config,
  files: string[],
): { config: Config; order: string[] } {
  const waiting = [...files];
  const order: string[] = [];
  const failures = new Map<string, Error>();

  while (waiting.length > 0) {
    const file = waiting.shift()!;
    try {
      config = applyFile(config, file);
      order.push(file);
      failures.clear(); // files that failed because this one was missing are tried again
    } catch (error) {
      failures.set(file, toError(error));
      waiting.push(file);
      if (failures.size === waiting.length) throw loadError(failures);
    }
  }
  return { config, order };
}

function loadError(failures: Map<string, Error>): Error {
  const errors: Record<string, { msg: string }> = {};
  for (const [file, error] of failures)
    errors[file] = { msg: error.toString() };
  const stacks = [...failures.values()]
    .map((error) => error.stack)
    .join("\n\n");
  return explainable(
    new ActionheroError(
      "AH_CONFIG",
      `Unable to load configurations, errors: ${JSON.stringify(errors)}`,
      { cause: stacks },
    ),
    loadFailure(...likeliest(failures)),
  );
}

/** The error codes of Node and of tsx. */
const UNREADABLE = ["SyntaxError", "TransformError"];

/** The others may have failed because of the file that cannot be read. */
function likeliest(failures: Map<string, Error>): [Error, string] {
  const all = [...failures];
  const unreadable = all.find(([, { name }]) => UNREADABLE.includes(name));
  const [file, error] = unreadable ?? all[0]!;
  return [error, file];
}

function applyFile(
  config: Config,
  file: string,
  replacements?: ReplacedSettings,
): Config {
  const blocks = loadModule(file) as Record<string, ConfigBlock | undefined>;
  const { env } = config.process;
  const defaults = applyBlock(config, blocks.DEFAULT, file);
  // combined routes replace none
  const { routes } = isNotRoutes(file) ? defaults : config;
  replacements?.afterDefault(config, { ...defaults, routes: routes }, file);
  if (env === "DEFAULT") return defaults;
  const merged = applyBlock(defaults, blocks[env], file);
  replacements?.afterEnvironment(defaults, merged, file);
  return merged;
}

function applyBlock(
  config: Config,
  block: ConfigBlock | undefined,
  file: string,
): Config {
  if (!block) return config;
  if (isNotRoutes(file)) return mergeInto(config, block);

  // routes of all files and directories are combined; all other settings are replaced
  const { routes, ...others } = hashMerge({}, block, config) as {
    routes?: RouteTables;
  };
  const merged = mergeInto(config, others);
  merged.routes = appendRoutes(config.routes, routes ?? {});
  return merged;
}

/** A marker at the top of a block keeps the functions of that block unchanged; it is not a setting. */
function mergeInto(config: Config, block: object): Config {
  const { _toExpand: _, ...merged } = mergeBlock(config, block);
  return merged as Config;
}

function isNotRoutes(file: string): boolean {
  return !/routes\.[jt]s/.test(file);
}

function appendRoutes(present: RouteTables, added: RouteTables): RouteTables {
  const tables: RouteTables = { ...present };
  for (const [method, routes] of Object.entries(added)) {
    tables[method] = [...(tables[method] ?? []), ...(routes ?? [])];
  }
  return tables;
}

function uniqueRoutes(tables: RouteTables): RouteTables {
  const unique: RouteTables = {};
  for (const [method, routes = []] of Object.entries(tables)) {
    const seen = new Set<string>();
    unique[method] = arrayUnique(routes).filter((route) => {
      const identity = routeIdentity(route);
      if (seen.has(identity)) return false;
      seen.add(identity);
      return true;
    });
  }
  return unique;
}

function routeIdentity(route: RouteEntry): string {
  const {
    path: pattern,
    action,
    apiVersion,
    matchTrailingPathParts,
    dir,
  } = route;
  return JSON.stringify([
    pattern,
    action,
    apiVersion,
    matchTrailingPathParts,
    dir,
  ]);
}

// --- The config folders of plugins, which contain defaults and routes.

/**
 * `<plugin>/config` and `<plugin>/dist/config` of each plugin that says `"actionhero": { "config": true }` in its
 * package.json, or whose record in `config.plugins` says `config: true`; `config: false` there takes precedence.
 *
 * Plugins made for v29 may have a folder of that name, which was never read, so plugins must opt in.
 */
export function pluginConfigFolders(plugins: PluginConfig): string[] {
  return Object.values(plugins)
    .filter((plugin) => plugin.config ?? declaresConfig(plugin))
    .flatMap((plugin) => [
      path.join(plugin.path, "config"),
      path.join(plugin.path, "dist", "config"),
    ])
    .filter((folder) => fs.existsSync(folder));
}

function declaresConfig(plugin: PluginConfigRecord): boolean {
  const file = path.join(plugin.path, "package.json");
  if (!fs.existsSync(file)) return false;
  const { actionhero } = JSON.parse(fs.readFileSync(file, "utf8")) as {
    actionhero?: { config?: unknown };
  };
  return actionhero?.config === true;
}

// --- The directories that configuration is read from.

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

// --- Finds settings of an environment that the DEFAULT of a later file replaces: files are applied one after the
// other, as in v29.

/** A setting that the block of an environment sets. */
interface EnvironmentSetting {
  steps: readonly string[];
  value: unknown;
  file: string;
}

/** A setting of an environment that another file's DEFAULT replaced. */
export interface ReplacedSetting extends EnvironmentSetting {
  by: string;
}

/** Follows the files of one directory, in the order in which they are applied. */
class ReplacedSettings {
  private readonly present = new Map<string, EnvironmentSetting>();
  private readonly replaced = new Map<string, ReplacedSetting>();

  found(): ReplacedSetting[] {
    return [...this.replaced.values()];
  }

  /** Call it with the configuration before and after the DEFAULT of a file. */
  afterDefault(before: Config, after: Config, file: string): void {
    if (before === after) return;
    for (const [key, setting] of this.present) {
      const value = valueAt(after, setting.steps);
      if (isDeepStrictEqual(valueAt(before, setting.steps), value)) continue;
      if (isDeepStrictEqual(setting.value, value)) this.replaced.delete(key);
      else this.replaced.set(key, { ...setting, by: file });
    }
  }

  /** Call it with the configuration before and after the block of the environment. */
  afterEnvironment(before: Config, after: Config, file: string): void {
    for (const { steps, value } of changesIn(before, after)) {
      const key = JSON.stringify(steps);
      this.present.set(key, { steps, value, file });
      this.replaced.delete(key);
    }
  }
}

/** One message for each pair of files; settings that have their effect after all, by a later directory or an override, are not named. */
export function replacedSettings(
  replaced: readonly ReplacedSetting[],
  config: Config,
): string[] {
  const { env, projectRoot } = config.process;
  const shown = (file: string) => path.relative(projectRoot, file);
  const groups = new Map<string, string[]>();
  for (const { steps, value, file, by } of replaced) {
    if (isDeepStrictEqual(valueAt(config, steps), value)) continue;
    const reason = `of \`${env}\` in ${shown(file)}: no effect, because files are applied in the order of their names, and the DEFAULT of ${shown(by)} replaces it`;
    groups.set(reason, [...(groups.get(reason) ?? []), steps.join(".")]);
  }
  return [...groups].map(
    ([reason, settings]) => `${settings.join(", ")} ${reason}`,
  );
}

type Change = Pick<EnvironmentSetting, "steps" | "value">;

/**
 * The changed values that hold no further settings.
 * @param around the objects that contain `after`, to stop at circular references
 */
function changesIn(
  before: unknown,
  after: unknown,
  steps: readonly string[] = [],
  around: readonly unknown[] = [],
): Change[] {
  if (before === after || around.includes(after)) return [];
  if (!isRecord(after))
    return isDeepStrictEqual(before, after) ? [] : [{ steps, value: after }];
  const base = isRecord(before) ? before : {};
  const names = new Set([...Object.keys(base), ...Object.keys(after)]);
  return [...names].flatMap((name) =>
    changesIn(base[name], after[name], [...steps, name], [...around, after]),
  );
}

/** Also one with the marker `_toExpand: false`. */
function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function valueAt(root: unknown, steps: readonly string[]): unknown {
  let value = root;
  for (const step of steps) {
    if (!isRecord(value)) return undefined;
    value = value[step];
  }
  return value;
}

// --- Finds where a setting of the live configuration comes from, for messages about it.

const OVERRIDES = "ACTIONHERO_CONFIG_OVERRIDES";

/** `name`: for messages, relative to the project; `file`: its path, unless it is a variable. */
interface Origin {
  name: string;
  file?: string;
}

/** The variable that overrides a setting, or the last file of the project that sets it. */
export function originOfSetting(
  setting: string,
  config: Config,
): Origin | undefined {
  const steps = setting.split(".");
  const overrides = [
    process.env[OVERRIDES] ?? "",
    ...flagValues(OVERRIDES),
  ].filter((source) => source !== "");
  if (overrides.some((source) => hasPath(JSON.parse(source), steps)))
    return { name: OVERRIDES };

  const { projectRoot, typescript } = config.process;
  const { project } = locateConfigDirectories(projectRoot, typescript);
  const file = project
    .flatMap((directory) => listSourceFiles(directory))
    .findLast((one) => sets(one, steps, config));
  if (file === undefined) return undefined;
  return { name: path.relative(projectRoot, file), file };
}

function sets(file: string, steps: readonly string[], config: Config): boolean {
  const blocks = loadModule(file) as Record<string, ConfigBlock | undefined>;
  return [blocks.DEFAULT, blocks[config.process.env]].some(
    (block) => block && hasPath(hashMerge({}, block, config), steps),
  );
}
