/** Creates a new plugin: the folders that a project searches, each with an example. */
import * as path from "node:path";
import { readActionheroVersion } from "../../environment/env";
import { createFileSafely } from "../../utils/fileUtils";
import { ownSpec, ranges } from "./packageJson";
import { fillTemplate, readTemplate, Scaffold } from "./templates";

const DIRECTORIES = [
  "actions",
  "tasks",
  "initializers",
  "servers",
  "config",
  "bin",
  "public",
];

/** Template below `bin/templates/plugin`, file in the plugin. */
const TEMPLATES = {
  "tsconfig.json": "tsconfig.json",
  "action.ts": "actions/pluginGreeting.ts",
  "config.ts": "config/pluginGreeting.ts",
  "routes.ts": "config/routes.ts",
  gitignore: ".gitignore",
  "README.md": "README.md",
};

/**
 * Write a plugin into a folder.
 * @throws Error `file '<path>' already exists` when the folder has a package.json
 */
export function generatePlugin(folder: string, name: string): void {
  const content = JSON.stringify(pluginPackageJson(folder, name), null, 2);
  // first, because it refuses a folder that is a package; then nothing is left behind
  console.log(
    createFileSafely(path.join(folder, "package.json"), `${content}\n`),
  );
  const scaffold = new Scaffold(folder);
  scaffold.directories(DIRECTORIES);
  for (const [template, target] of Object.entries(TEMPLATES)) {
    const text = readTemplate(`plugin/${template}`);
    scaffold.write(target, fillTemplate(text, { name }));
  }
}

function pluginPackageJson(folder: string, name: string) {
  const code = DIRECTORIES.filter((directory) => directory !== "public");
  const sources = `"{${code.join(",")}}/**"`;
  return {
    name,
    description: "a plugin for actionhero",
    version: "0.1.0",
    keywords: ["actionhero", "actionhero-plugin"],
    files: ["dist", "public"],
    // the project that uses this plugin reads its config folder
    actionhero: { config: true },
    scripts: {
      build: "tsc",
      prepare: "tsc",
      lint: `prettier --check ${sources} --no-error-on-unmatched-pattern`,
      pretty: `prettier --write ${sources} --no-error-on-unmatched-pattern`,
    },
    peerDependencies: { actionhero: `^${readActionheroVersion()}` },
    devDependencies: {
      actionhero: ownSpec(folder),
      ...ranges(["@types/node", "prettier", "typescript"]),
    },
  };
}
