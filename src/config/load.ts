/** Builds the configuration from its files: DEFAULT and environment blocks, retries, the second pass, routes. */
import * as fs from "node:fs";
import * as path from "node:path";
import { explainable } from "../environment/bootErrors";
import { ActionheroError, loadFailure, toError } from "../errors";
import { arrayUnique } from "../utils/arrays";
import { listSourceFiles } from "../utils/fileUtils";
import { loadModule } from "../utils/modules";
import { hashMerge } from "../utils/objects";
import type { ConfigDirectories } from "./locate";
import type {
  ActionheroConfigInterface,
  ConfigBlock,
  PluginConfig,
  PluginConfigRecord,
  ProcessConfig,
} from "./types";

type Config = ActionheroConfigInterface;
type RouteEntry = {
  path?: unknown;
  action?: unknown;
  apiVersion?: unknown;
  matchTrailingPathParts?: unknown;
  dir?: unknown;
};
type RouteTables = Record<string, RouteEntry[] | undefined>;

/** Namespaces that the framework reads; they exist even when no file defines them. */
const NAMESPACES = ["general", "plugins", "routes", "web"];

/**
 * Apply the defaults, those of plugins, then each project directory in order.
 * @throws ActionheroError AH_CONFIG naming every file that cannot be loaded
 */
export function loadConfig(
  directories: ConfigDirectories,
  processConfig: ProcessConfig,
): Config {
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
  return config;
}

/**
 * A file may read a namespace that a later file defines: one that fails is retried after the others, and the whole
 * directory is applied twice so that values derived from each other settle.
 */
function applyDirectory(config: Config, files: string[]): Config {
  const { config: firstPass, order } = applyWithRetries(config, files);
  const secondPass = order.reduce(applyFile, firstPass);
  secondPass.routes = uniqueRoutes(secondPass.routes);
  return secondPass;
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

function applyFile(config: Config, file: string): Config {
  const blocks = loadModule(file) as Record<string, ConfigBlock | undefined>;
  const { env } = config.process;
  let merged = applyBlock(config, blocks.DEFAULT, file);
  if (env !== "DEFAULT") merged = applyBlock(merged, blocks[env], file);
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
  const { _toExpand: _, ...merged } = hashMerge(config, block, config);
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
  const { path, action, apiVersion, matchTrailingPathParts, dir } = route;
  return JSON.stringify([
    path,
    action,
    apiVersion,
    matchTrailingPathParts,
    dir,
  ]);
}

// --- Finds the config folders of plugins, which contain defaults and routes.

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
