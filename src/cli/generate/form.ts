/** The form of generated actions and tasks: a definition with a schema, a definition without, or a class. */
import * as semver from "semver";
import { findProjectRoot } from "../../environment/runtime";
import { readPackageJson } from "./packageJson";

/** The option of the generators for the form of version 29. */
export const classInput = {
  flag: true,
  letter: "c",
  description: "write a class, the form of version 29",
};

/** The template of an action or a task: with a schema of zod if the project has zod. */
export function templateOf(kind: "action" | "task", isClass = false): string {
  if (isClass) return `${kind}.class.ts`;
  return hasZod() ? `${kind}.schema.ts` : `${kind}.ts`;
}

function hasZod(): boolean {
  const present = readPackageJson(findProjectRoot());
  const range = present?.dependencies?.zod ?? present?.devDependencies?.zod;
  if (range === undefined) return false;
  // zod 3 provides no JSON Schema; a tag or a link has no version
  const oldest = semver.validRange(range) && semver.minVersion(range);
  return !oldest || oldest.major >= 4;
}
