/** Which form generated actions and tasks have: a definition with a schema, one without, or a class. */
import * as semver from "semver";
import { findProjectRoot } from "../../environment/paths";
import { readPackageJson } from "./packageJson";

/** What the generators of actions and tasks take for the form of version 29. */
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
  // zod 3 describes no schema as JSON Schema; a tag or a link names no version
  const oldest = semver.validRange(range) && semver.minVersion(range);
  return !oldest || oldest.major >= 4;
}
