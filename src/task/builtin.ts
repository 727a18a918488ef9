/** Tasks that come with the framework, and are loaded when `config.tasks.builtin` names them. */
import { api } from "../api";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import { CleanLogFiles } from "./cleanLogFiles";
import type { Task } from "./task";

/** Extend them, or load them from your own file. */
export const builtinTasks = { CleanLogFiles };

/**
 * The tasks that the configuration lists, except those that the project defines itself.
 * @throws ActionheroError AH_CONFIG for an unknown name
 */
export function configuredTasks(): Task[] {
  const names = settings().tasks.builtin;
  const tasks: Task[] = Object.values(builtinTasks).map((Class) => new Class());
  return names
    .map((name) => {
      const found = tasks.find((task) => task.name === name);
      if (found) return found;
      throw new ActionheroError(
        "AH_CONFIG",
        `tasks.builtin has no ${String(name)}; there are: ${tasks.map((task) => task.name).join(", ")}`,
      );
    })
    .filter(({ name }) => !Object.hasOwn(api.tasks.tasks, name));
}
