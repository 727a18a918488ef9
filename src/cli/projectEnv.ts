/** The variables that a project keeps in its file `.env`. */
import * as fs from "node:fs";
import * as path from "node:path";
import { findProjectRoot } from "../environment/paths";

/**
 * Load `.env` of the project into the environment, if its package.json contains `"actionhero": {
 * "env": true }`, like those of new projects. Variables that are already set take precedence. A
 * project in a subfolder of a package uses the package.json above it, and the `.env` there if it
 * has none itself.
 */
export function loadProjectEnv(): void {
  const root = findProjectRoot();
  const manifest = findAbove(path.resolve(root), "package.json");
  if (manifest === undefined || !wantsEnv(manifest)) return;
  const file = [root, path.dirname(manifest)]
    .map((folder) => path.join(folder, ".env"))
    .find((candidate) => fs.existsSync(candidate));
  if (file !== undefined) process.loadEnvFile(file);
}

function findAbove(folder: string, name: string): string | undefined {
  const file = path.join(folder, name);
  if (fs.existsSync(file)) return file;
  const parent = path.dirname(folder);
  return parent === folder ? undefined : findAbove(parent, name);
}

function wantsEnv(manifest: string): boolean {
  const { actionhero } = JSON.parse(fs.readFileSync(manifest, "utf8")) as {
    actionhero?: { env?: unknown };
  };
  return actionhero?.env === true;
}
