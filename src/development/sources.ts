/** Classifies the code files of a project: actions, tasks, routes, or parts that require a restart. */
import * as fs from "node:fs";
import * as path from "node:path";
import { projectRoot, typescript } from "../config/config";
import { settings } from "../config/settings";
import { pluginFolders, projectFolders } from "../config/discover";
import { locateConfigDirectories, pluginConfigFolders } from "../config/load";
import { defaultsRoot, packageRoot } from "../environment/runtime";

/** `built`: initializers, servers and settings, which a running server cannot change. `code`: anything else. */
export type SourceKind = "action" | "task" | "routes" | "built" | "code";

/** Folders of each kind, as real paths. */
export interface SourceFolders {
  actions: string[];
  tasks: string[];
  built: string[];
  config: string[];
  /** The folder that holds all code of the project; helpers are anywhere in it. */
  code: string[];
}

export function sourceFolders(): SourceFolders {
  const found = locateConfigDirectories(projectRoot, typescript);
  const own = found.isOwnProject ? [found.defaults] : [];
  const plugins = pluginConfigFolders(settings().plugins);
  return {
    actions: foldersOf("actions"),
    tasks: foldersOf("tasks"),
    built: [...foldersOf("initializers"), ...foldersOf("servers")],
    config: real([...found.project, ...own, ...plugins]),
    code: real([codeFolder()]).filter((folder) => !isFramework(folder)),
  };
}

export function kindOf(file: string, folders: SourceFolders): SourceKind {
  const isIn = (list: readonly string[]) =>
    list.some((folder) => file.startsWith(folder + path.sep));
  if (isIn(folders.config))
    return /^routes\.[jt]s$/.test(path.basename(file)) ? "routes" : "built";
  if (isIn(folders.built)) return "built";
  if (isIn(folders.actions)) return "action";
  if (isIn(folders.tasks)) return "task";
  return "code";
}

/** The folders that are to be watched, none inside another. */
export function watchedRoots(folders: SourceFolders): string[] {
  const all = [...new Set(Object.values(folders).flat() as string[])];
  return all.filter(
    (folder) =>
      !all.some(
        (other) => other !== folder && folder.startsWith(other + path.sep),
      ),
  );
}

function foldersOf(
  kind: "actions" | "tasks" | "initializers" | "servers",
): string[] {
  return real([...projectFolders(kind), ...pluginFolders(kind)]);
}

function codeFolder(): string {
  const { paths } = settings().general;
  const folder = typescript ? paths.src : paths.dist;
  return folder ?? path.join(projectRoot, typescript ? "src" : "dist");
}

/** When this repository is the project, its `src` is the framework, which runs the reload. */
function isFramework(folder: string): boolean {
  return [path.join(packageRoot, "src"), defaultsRoot].some(
    (own) => fs.existsSync(own) && fs.realpathSync(own) === folder,
  );
}

function real(folders: readonly string[]): string[] {
  return folders
    .filter((folder) => fs.existsSync(folder))
    .map((folder) => fs.realpathSync(folder));
}
