/** Creates a new project (v29's layout, with the framework's own defaults as its sources, edited to be safe), or a new plugin. */
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { fileExists } from "../../utils/fileUtils";
import { checkPackageName } from "../../utils/packageNames";
import {
  adaptSource,
  adaptTemplate,
  type Flavour,
  fillTemplate,
  jestConfig,
  readTemplate,
  Scaffold,
} from "./templates";
import { newProjectSettings, type SourceEdit } from "./newProjectSettings";
import {
  JEST_DEPENDENCIES,
  mergePackageJson,
  type PackageJson,
  projectPackageJson,
  readPackageJson,
  ownSpec,
  ranges,
  unlessProduction,
} from "./packageJson";
import { readActionheroVersion } from "../../environment/env";

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
  "jest.env.cjs": "jest.env.cjs",
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
 * @param onFile called with each file before it is written
 * @throws Error if ES modules are wanted beside CommonJS sources
 */
export function generateProject(
  folder: string,
  { minimal = false, esm = false }: ProjectOptions = {},
  onFile?: (file: string) => void,
): void {
  const flavour = flavourFor(folder, esm);
  const isModule = flavour === "esm";
  const scaffold = new Scaffold(
    folder,
    (source, file) => newProjectSource(file, source, flavour),
    onFile,
  );
  scaffold.directories(DIRECTORIES);

  const sources = minimal ? SOURCES : [...SOURCES, ...EXAMPLE_SOURCES];
  sources.forEach((source) => scaffold.copySource(source, `src/${source}`));
  scaffold.copyFolder("public", ["javascript"]);

  const wanted = projectPackageJson(folder, flavour, minimal);
  // `npm init` writes `"type": "commonjs"` before the user could choose ES modules
  writePackageJson(folder, scaffold, wanted, esm ? { type: "module" } : {});
  const name = String(readPackageJson(folder)?.name);
  writeTemplates(scaffold, TEMPLATES, name, flavour);
  if (!minimal) writeTemplates(scaffold, EXAMPLE_TEMPLATES, name, flavour);
  const tsconfig = isModule ? "tsconfig.esm.json" : "tsconfig.json";
  scaffold.write("tsconfig.json", readTemplate(`project/${tsconfig}`));
  writeSecrets(folder);
}

/** @throws Error if ES modules are wanted beside CommonJS sources */
function flavourFor(folder: string, esm: boolean): Flavour {
  const present = readPackageJson(folder);
  if (present?.type === "module") return "esm";
  if (!esm) return "commonjs";
  if (present) refuseCommonJs(folder);
  return "esm";
}

/** As ES modules, present CommonJS sources would fail at the start only. */
function refuseCommonJs(folder: string): void {
  const source = path.join(folder, "src");
  const inSource = fs.existsSync(source)
    ? fs.readdirSync(source, { recursive: true, encoding: "utf8" })
    : [];
  const own = [...fs.readdirSync(folder), ...inSource];
  const file = own.find((name) => /\.[jt]sx?$/.test(name));
  if (file !== undefined)
    throw new Error(
      `this folder has CommonJS sources (${file}): leave out --esm, or set "type": "module" in package.json and convert them`,
    );
}

function writeTemplates(
  scaffold: Scaffold,
  templates: { [template: string]: string },
  name: string,
  flavour: Flavour,
): void {
  for (const [template, target] of Object.entries(templates)) {
    const text = readTemplate(`project/${template}`);
    const filled = fillTemplate(text, { name });
    scaffold.write(target, adaptTemplate(filled, flavour));
  }
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
    { ...present, name: present.name ?? wanted.name, ...ruling },
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

// --- The file `.env` of a new project: its secrets, which must not be in a repository or image.

const TOKEN = "ACTIONHERO_SERVER_TOKEN";
const TOKEN_BYTES = 32;

/** Only its owner may read it. */
const SECRET_MODE = 0o600;

/** Ignore files. */
const IGNORE_FILES = [".gitignore", ".dockerignore"];

/** Patterns of these files that cover `.env`. */
const COVERING = /^(\/|\*\*\/)?(\.env|\.env\*|\.env\.\*|\*\.env|\.\*)$/;

/**
 * Write a random server token to `.env`, or add it to the existing file; an existing token is
 * kept. Existing ignore files get `.env` if they lack it.
 */
function writeSecrets(folder: string): void {
  const file = path.join(folder, ".env");
  const present = fileExists(file) ? fs.readFileSync(file, "utf8") : "";
  if (
    !new RegExp(`^\\s*(export\\s+)?${TOKEN}\\s*=\\s*\\S`, "m").test(present)
  ) {
    const token = randomBytes(TOKEN_BYTES).toString("hex");
    appendLine(file, present, `${TOKEN}=${token}`);
    console.log(`wrote ${TOKEN} to '${file}'`);
  }
  for (const name of IGNORE_FILES) ignoreEnv(path.join(folder, name));
}

function ignoreEnv(file: string): void {
  if (!fileExists(file)) return;
  const text = fs.readFileSync(file, "utf8");
  if (text.split(/\r?\n/).some((line) => COVERING.test(line.trim()))) return;
  appendLine(file, text, ".env");
  console.log(`added .env to '${file}'`);
}

function appendLine(file: string, present: string, line: string): void {
  const gap = present === "" || present.endsWith("\n") ? "" : "\n";
  fs.appendFileSync(file, `${gap}${line}\n`, { mode: SECRET_MODE });
}

// --- A new plugin: the folders that a project searches, each with an example.

const PLUGIN_DIRECTORIES = [
  "actions",
  "tasks",
  "initializers",
  "servers",
  "config",
  "bin",
  "public",
];

/** Template below `bin/templates/plugin`, file in the plugin. */
const PLUGIN_TEMPLATES = {
  "tsconfig.json": "tsconfig.json",
  "action.ts": "actions/pluginGreeting.ts",
  "config.ts": "config/pluginGreeting.ts",
  "routes.ts": "config/routes.ts",
  "test.ts": "__tests__/actions/pluginGreeting.ts",
  "plugins.ts": "test-config/plugins.ts",
  gitignore: ".gitignore",
  "README.md": "README.md",
};

/** Folders without a part of the plugin. */
const PLUGIN_TEST_DIRECTORIES = [
  "__tests__",
  "__tests__/actions",
  "test-config",
];

/**
 * Write a plugin into a folder; existing files are kept, and a package.json gets what it lacks.
 * @param given the name of the package (default: that of the package.json, else `my_actionhero_plugin`)
 * @throws Error if the folder is a project, and for a name that npm refuses
 */
export function generatePlugin(folder: string, given?: string): void {
  if (fs.existsSync(path.join(folder, "src")))
    throw new Error(
      "this folder has code in `src`: make the plugin in a folder of its own",
    );
  const present = readPackageJson(folder);
  const { name: own = "my_actionhero_plugin" } = (present ?? {}) as {
    name?: string;
  };
  const name = given ?? own;
  checkPackageName(name);
  const wanted = pluginPackageJson(folder, name);
  const scaffold = new Scaffold(folder);
  const { actionhero, ...dependencies } = present?.dependencies ?? {};
  // a plugin uses the copy of its project: `npm install actionhero` made it a dependency
  const ruling: PackageJson = {
    ...(given !== undefined && { name: given }),
    ...(actionhero !== undefined && {
      dependencies,
      devDependencies: { ...present?.devDependencies, actionhero },
    }),
  };
  writePackageJson(folder, scaffold, wanted, ruling);
  scaffold.directories([...PLUGIN_DIRECTORIES, ...PLUGIN_TEST_DIRECTORIES]);
  for (const [template, target] of Object.entries(PLUGIN_TEMPLATES)) {
    const text = readTemplate(`plugin/${template}`);
    scaffold.write(target, fillTemplate(text, { name }));
  }
}

function pluginPackageJson(folder: string, name: string): PackageJson {
  const code = PLUGIN_DIRECTORIES.filter((directory) => directory !== "public");
  const sources = `"{${[...code, "__tests__", "test-config"].join(",")}}/**"`;
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
      prepare: unlessProduction("tsc"),
      pretest: "tsc",
      test: "jest",
      lint: `prettier --check ${sources} --no-error-on-unmatched-pattern`,
      pretty: `prettier --write ${sources} --no-error-on-unmatched-pattern`,
    },
    peerDependencies: { actionhero: `^${readActionheroVersion()}` },
    devDependencies: {
      actionhero: ownSpec(folder),
      ...ranges([
        "@types/node",
        "prettier",
        "typescript",
        ...JEST_DEPENDENCIES,
      ]),
    },
    jest: { ...jestConfig("commonjs"), roots: ["<rootDir>/__tests__"] },
  };
}

// --- Exact edits of the framework's own sources on their way into a new project.

interface Replacement {
  start: number;
  end: number;
  text: string;
}

/**
 * Apply all edits of one file to its source; the order matters only for insertions at the same place.
 * @throws Error if the text of an edit does not occur exactly once, or if two replacements overlap
 */
export function editSource(
  file: string,
  source: string,
  edits: readonly SourceEdit[],
): string {
  const replacements = edits
    .filter((edit) => edit.file === file)
    .map((edit) => locate(source, edit))
    .sort((a, b) => a.start - b.start);
  let edited = "";
  let position = 0;
  for (const { start, end, text } of replacements) {
    if (start < position)
      throw new Error(`two edits of ${file} overlap at: ${text}`);
    edited += source.slice(position, start) + text;
    position = end;
  }
  return edited + source.slice(position);
}

function locate(source: string, edit: SourceEdit): Replacement {
  const wanted = "find" in edit ? edit.find : edit.after;
  const found = source.indexOf(wanted);
  if (found === -1)
    throw new Error(`${edit.file} does not contain the text: ${wanted}`);
  if (source.includes(wanted, found + 1))
    throw new Error(`${edit.file} contains the text more than once: ${wanted}`);
  const end = found + wanted.length;
  return "find" in edit
    ? { start: found, end, text: edit.replace }
    : { start: end, end, text: edit.insert };
}
