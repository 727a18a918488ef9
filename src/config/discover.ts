/**
 * Finds the files of actions, tasks, initializers and servers, and the static folders, of the project and its
 * plugins.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { defaultsRoot } from "../environment/runtime";
import { ActionheroError } from "../errors";
import { arrayUnique } from "../utils/objects";
import { listSourceFiles } from "../utils/fileUtils";
import { settings } from "./settings";
import type { PluginSection } from "./types";

/** The kinds of code that are found by folder, with the key of `config.general.paths` that names the folders. */
const PATH_KEYS = {
  actions: "action",
  tasks: "task",
  initializers: "initializer",
  servers: "server",
  cli: "cli",
} as const;

type DiscoverableKind = keyof typeof PATH_KEYS;

/** The folder that a kind has inside a plugin. */
const PLUGIN_FOLDERS: Record<PluginSection, string> = {
  actions: "actions",
  tasks: "tasks",
  initializers: "initializers",
  servers: "servers",
  public: "public",
  cli: "bin",
};

/**
 * Files of one kind, each once: the framework's own (initializers only), the project's, then the plugins' compiled
 * ones.
 */
export function discover(kind: DiscoverableKind): string[] {
  const core =
    kind === "initializers"
      ? listSourceFiles(path.join(defaultsRoot, "initializers"))
      : [];
  const project = projectFolders(kind).flatMap((folder) =>
    listSourceFiles(folder),
  );
  const plugins = pluginFolders(kind).flatMap((folder) =>
    listSourceFiles(folder, [".js"]),
  );
  return [...new Set([...core, ...project, ...plugins])];
}

/** The project's own folders of one kind, from `config.general.paths`. */
export function projectFolders(kind: DiscoverableKind): string[] {
  const folders = settings().general.paths[PATH_KEYS[kind]] ?? [];
  return arrayUnique(folders.map((folder) => path.resolve(folder)));
}

/**
 * The existing folders of one section, for all plugins that enable it: `<plugin>/<section>` and, for code,
 * `<plugin>/dist/<section>`.
 * @throws ActionheroError AH_BOOT `plugin path does not exist: ...`
 */
export function pluginFolders(section: PluginSection): string[] {
  const folder = PLUGIN_FOLDERS[section];
  const inside =
    section === "public" ? [folder] : [folder, path.join("dist", folder)];
  return pluginPaths(section)
    .flatMap((root) => inside.map((name) => path.join(root, name)))
    .filter((candidate) => fs.existsSync(candidate));
}

function pluginPaths(section: PluginSection): string[] {
  const { plugins } = settings();
  return Object.values(plugins).flatMap((plugin) => {
    const root = path.normalize(plugin.path);
    if (!fs.existsSync(root)) {
      throw new ActionheroError(
        "AH_BOOT",
        `plugin path does not exist: ${plugin.path}`,
      );
    }
    return plugin[section] === false ? [] : [root];
  });
}

/** The folders that static files are served from: the project's, then those of its plugins. */
export function publicFolders(): string[] {
  const project = (settings().general.paths.public ?? []).map((folder) =>
    path.normalize(folder),
  );
  return [...new Set([...project, ...pluginFolders("public")])];
}

/** The source path of a compiled one, by `config.general.paths.dist` and `.src` (first occurrence). */
export function replaceDistWithSrc(file: string): string {
  const { dist, src } = settings().general.paths;
  return file.replace(dist as string, src as string);
}
