/** Creates a new project: v29's layout, with the framework's own defaults as its sources, edited to be safe. */
import * as fs from "node:fs";
import * as path from "node:path";
import { adaptSource, adaptTemplate, type Flavour } from "./flavour";
import { newProjectSettings } from "./newProjectSettings";
import {
  mergePackageJson,
  projectPackageJson,
  readPackageJson,
  type PackageJson,
} from "./packageJson";
import { Scaffold } from "./scaffold";
import { writeSecrets } from "./secrets";
import { editSource } from "./sourceEdits";
import { fillTemplate, readTemplate } from "./templates";

export interface ProjectOptions {
  /** Only the necessary files: no examples, no container files, no workflow. */
  minimal?: boolean;
  /**
   * ES modules instead of CommonJS; an existing package.json with `"type": "module"` implies it.
   */
  esm?: boolean;
}

const DIRECTORIES = [
  "src",
  "src/config",
  "src/actions",
  "src/tasks",
  "src/initializers",
  "src/servers",
  "src/bin",
  "log",
  "pids",
  "public",
  "public/javascript",
  "public/css",
  "public/logo",
  "__tests__",
  "__tests__/actions",
  "__tests__/tasks",
];

/** The framework's own files that become the project's, all below `src`. */
const SOURCES = [
  "config/api.ts",
  "config/errors.ts",
  "config/health.ts",
  "config/logger.ts",
  "config/metrics.ts",
  "config/plugins.ts",
  "config/redis.ts",
  "config/routes.ts",
  "config/securityHeaders.ts",
  "config/session.ts",
  "config/socket.ts",
  "config/tasks.ts",
  "config/tracing.ts",
  "config/web.ts",
  "config/websocket.ts",
  "actions/createChatRoom.ts",
  "actions/status.ts",
  "actions/swagger.ts",
];

const EXAMPLE_SOURCES = ["tasks/runAction.ts"];

/** Template below `bin/templates/project`, file in the project. */
const TEMPLATES = {
  "server.ts": "src/server.ts",
  "status.test.ts": "__tests__/actions/status.ts",
  gitignore: ".gitignore",
  "README.md": "README.md",
};

const EXAMPLE_TEMPLATES = {
  "cacheTest.ts": "src/actions/cacheTest.ts",
  "randomNumber.ts": "src/actions/randomNumber.ts",
  "buildInfo.ts": "src/initializers/buildInfo.ts",
  "env.example": ".env.example",
  Dockerfile: "Dockerfile",
  dockerignore: ".dockerignore",
  "compose.yaml": "compose.yaml",
  "workflow.yml": ".github/workflows/test.yml",
};

/**
 * Write a project into a folder; existing files are kept.
 * @param tell called with each file before it is written
 */
export function generateProject(
  folder: string,
  { minimal = false, esm = false }: ProjectOptions = {},
  tell?: (file: string) => void,
): void {
  const isModule = esm || readPackageJson(folder)?.type === "module";
  const flavour = isModule ? "esm" : "commonjs";
  const scaffold = new Scaffold(
    folder,
    (source, file) => newProjectSource(file, source, flavour),
    tell,
  );
  scaffold.directories(DIRECTORIES);

  const sources = minimal ? SOURCES : [...SOURCES, ...EXAMPLE_SOURCES];
  for (const source of sources) scaffold.copySource(source, `src/${source}`);
  scaffold.copyFolder("public", ["javascript"]);

  const wanted = projectPackageJson(folder, flavour, minimal);
  // `npm init` writes `"type": "commonjs"` before the user could choose ES modules
  writePackageJson(folder, scaffold, wanted, esm ? { type: "module" } : {});
  const name = String(readPackageJson(folder)?.name);
  const templates = minimal
    ? TEMPLATES
    : { ...TEMPLATES, ...EXAMPLE_TEMPLATES };
  for (const [template, target] of Object.entries(templates)) {
    const text = readTemplate(`project/${template}`);
    const filled = fillTemplate(text, { name });
    scaffold.write(target, adaptTemplate(filled, flavour));
  }
  const tsconfig = isModule ? "tsconfig.esm.json" : "tsconfig.json";
  scaffold.write("tsconfig.json", readTemplate(`project/${tsconfig}`));
  writeSecrets(folder);
}

/** A source file of the framework, converted for a new project. */
function newProjectSource(
  file: string,
  source: string,
  flavour: Flavour,
): string {
  const edits = newProjectSettings.flatMap((row) => row.edits);
  return adaptSource(editSource(file, source, edits), flavour);
}

/** @param ruling settings that replace those in an existing package.json */
function writePackageJson(
  folder: string,
  scaffold: Scaffold,
  wanted: PackageJson,
  ruling: PackageJson,
): void {
  const present = readPackageJson(folder);
  if (!present) {
    scaffold.write("package.json", toText(wanted));
    return;
  }
  const file = path.join(folder, "package.json");
  const { merged, keptScripts } = mergePackageJson(
    { ...present, ...ruling, name: present.name ?? wanted.name },
    wanted,
  );
  fs.writeFileSync(file, toText(merged));
  console.log(`added what was missing to '${file}'`);
  for (const script of keptScripts)
    console.log(`kept your own script "${script}" in '${file}'`);
}

function toText(content: object): string {
  return `${JSON.stringify(content, null, 2)}\n`;
}
