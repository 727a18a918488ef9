/** Lets files of the style of version 3 be loaded beside those of today, from the folders of the project. */
import * as path from "node:path";
import { projectFolders } from "../config/discover";
import { adaptModules, type ModuleAdapter } from "../utils/loadModule";
import { fromLegacyAction, type LegacyAction } from "./action";
import { fromLegacyInitializer, type LegacyInitializer } from "./initializer";
import { fromLegacyTask, type LegacyTask } from "./task";

/** `exports.action`, `exports.task`, and in a folder of initializers a function that is named as its file. */
const adaptLegacyModule: ModuleAdapter = (exported, file) => {
  const { action, task } = exported;
  const name = path.basename(file, path.extname(file));
  const adapted = { ...exported };
  if (isDefinition(action))
    adapted.action = fromLegacyAction(action as LegacyAction);
  if (isDefinition(task)) adapted.task = fromLegacyTask(task as LegacyTask);
  const initializer = Object.hasOwn(exported, name)
    ? exported[name]
    : undefined;
  if (
    isPlainFunction(initializer) &&
    isIn(file, projectFolders("initializers"))
  )
    adapted[name] = fromLegacyInitializer(name, initializer);
  return adapted;
};

/** From now on, files of both styles are loaded. */
export function loadLegacyModules(): void {
  adaptModules(adaptLegacyModule);
}

function isDefinition(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as { run?: unknown }).run === "function"
  );
}

/** No class: neither one of the language, nor one that a compiler has made a function of. */
function isPlainFunction(value: unknown): value is LegacyInitializer {
  if (typeof value !== "function") return false;
  if (/^class\b/.test(Function.prototype.toString.call(value))) return false;
  const { prototype } = value as { prototype?: object };
  return !prototype || Object.getOwnPropertyNames(prototype).length === 1;
}

function isIn(file: string, folders: readonly string[]): boolean {
  return folders.some((folder) => file.startsWith(folder + path.sep));
}
