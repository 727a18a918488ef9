/** The variables that a project keeps in its file `.env`. */
import * as fs from "node:fs";
import * as path from "node:path";
import { findProjectRoot } from "../environment/paths";

/**
 * Load `.env` of the project into the environment, when its package.json says `"actionhero": { "env": true }` as those
 * of new projects do. Variables that are set win.
 */
export function loadProjectEnv(): void {
  const root = findProjectRoot();
  const file = path.join(root, ".env");
  if (fs.existsSync(file) && wantsEnv(path.join(root, "package.json")))
    process.loadEnvFile(file);
}

function wantsEnv(manifest: string): boolean {
  if (!fs.existsSync(manifest)) return false;
  const { actionhero } = JSON.parse(fs.readFileSync(manifest, "utf8")) as {
    actionhero?: { env?: unknown };
  };
  return actionhero?.env === true;
}
