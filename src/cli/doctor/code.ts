/** Checks of the project's actions and tasks, without starting anything. */
import * as path from "node:path";
import { toError } from "../../errors";
import { instancesOf } from "../../utils/instancesOf";
import { loadModule } from "../../utils/loadModule";
import { fail, ok, type Finding } from "./finding";

interface Named {
  name?: string;
  version?: unknown;
  validate?(): void;
}

const KINDS = { actions: "action", tasks: "task" } as const;

/** Load each file and construct each of its classes once: all must work, and no two may have the same identity. */
export function checkCode(
  kind: "actions" | "tasks",
  files: readonly string[],
  projectRoot: string,
): Finding[] {
  const findings: Finding[] = [];
  const owners = new Map<string, string>();
  for (const file of files) {
    const shown = path.relative(projectRoot, file);
    try {
      for (const identity of identitiesIn(file, kind)) {
        const owner = owners.get(identity);
        if (owner)
          findings.push(
            fail(kind, `${identity} is in both ${owner} and ${shown}`),
          );
        owners.set(identity, shown);
      }
    } catch (error) {
      findings.push(fail(kind, `${shown}: ${toError(error).message}`));
    }
  }
  if (findings.length > 0) return findings;
  return [ok(kind, `${owners.size} load, each with its own name`)];
}

function identitiesIn(file: string, kind: "actions" | "tasks"): string[] {
  const found = instancesOf<Named>(loadModule(file), KINDS[kind]);
  return found.map((instance) => {
    if (!instance.name) throw new Error("it has no name");
    const version =
      kind === "actions" ? ` v${Number(instance.version ?? 1)}` : "";
    return `${instance.name}${version}`;
  });
}
