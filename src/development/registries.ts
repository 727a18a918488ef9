/** Replaces actions and tasks in the registries by the current exports of their files. */
import { api } from "../api";

/** What the old module of a file exported: whatever was made of these classes came from that file. */
type OldExports = Record<string, unknown> | undefined;

/** Load the actions of a file; actions that it no longer exports are removed. */
export async function replaceActions(
  file: string,
  exists: boolean,
  old: OldExports,
): Promise<void> {
  const { actions, versions } = api.actions;
  const before = Object.entries(actions).flatMap(([name, known]) =>
    Object.entries(known)
      .filter(([, action]) => isMadeFrom(action, old))
      .map(([version, action]) => ({ name, version, action })),
  );
  if (exists) await api.actions.loadFile(file, true);

  for (const { name, version, action } of before) {
    if (actions[name]?.[version] !== action) continue; // it was replaced
    delete actions[name][version];
    versions[name] = (versions[name] ?? []).filter(
      (present) => String(present) !== version,
    );
    if (versions[name].length > 0) continue;
    delete actions[name];
    delete versions[name];
  }
}

/** Load the tasks of a file; tasks that it no longer exports are removed. */
export async function replaceTasks(
  file: string,
  exists: boolean,
  old: OldExports,
): Promise<void> {
  const { tasks, jobs } = api.tasks;
  const before = Object.entries(tasks).filter(([, task]) =>
    isMadeFrom(task, old),
  );
  if (exists) await api.tasks.loadFile(file, true);

  for (const [name, task] of before) {
    if (tasks[name] !== task) continue;
    delete tasks[name];
    delete jobs[name];
  }
}

function isMadeFrom(instance: object, exported: OldExports): boolean {
  return Object.values(exported ?? {}).includes(instance.constructor);
}
