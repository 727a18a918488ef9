/** The inputs of the actions and tasks of a loaded project. */
import { latestVersion } from "../action/registry";
import { api } from "../api";
import type { DeclaredInputs } from "../input/types";

/** @returns undefined if the action or task does not exist */
export function findInputs(
  kind: "action" | "task",
  name: string,
  version?: string | number,
): DeclaredInputs | undefined {
  const found =
    kind === "task"
      ? own(api.tasks.tasks, name)
      : own(
          own(api.actions.actions, name) ?? {},
          String(version ?? latestVersion(name)),
        );
  return found && (found.inputs ?? {});
}

function own<T>(values: { [name: string]: T }, name: string): T | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}
