/**
 * Gives a project of the layout of version 3 (`config.js` or `actions` in its main folder, no `src/config`) the
 * configuration that maps its own. It has to be done before the framework is loaded, which reads its configuration then.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { namedConfigDirectories } from "../config/load";
import { findProjectRoot } from "../environment/runtime";

/** The configuration of such projects; what is named so reaches the processes that this one starts, too. */
export const profileFolder = path.join(__dirname, "config");

/** Files and folders by which current projects and those of version 3 are recognized. */
const TODAY = ["src/config", "dist/config"];
const OLD = ["config.js", "config.json", "actions"];

function adoptProfile(): void {
  const root = findProjectRoot();
  if (namedConfigDirectories(root).length > 0) return;
  const has = (name: string) => fs.existsSync(path.join(root, name));
  if (!TODAY.some(has) && OLD.some(has))
    process.env.ACTIONHERO_CONFIG = profileFolder;
}

adoptProfile();
