/** The package.json of a new project, and how it is merged into an existing one. */
import * as fs from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../../environment/runtime";
import { readActionheroVersion } from "../../environment/env";
import { toError } from "../../errors";
import { fileExists } from "../../utils/fileUtils";
import { MAX_NAME, REFUSED_NAMES } from "../../utils/packageNames";
import { type Flavour, jestConfig } from "./templates";

export interface PackageJson {
  [key: string]: unknown;
  type?: string;
  /** The settings that the command line reads. */
  actionhero?: Record<string, unknown>;
  scripts?: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  /** Whose install scripts npm may run. */
  allowScripts?: Record<string, boolean>;
}

/** Packages that the code of a new project imports; their ranges are the framework's own. */
const DEPENDENCIES = ["ioredis", "ioredis-mock", "winston", "ws"];
/** The schema library of the example actions. */
const EXAMPLE_DEPENDENCIES = ["zod"];
const DEV_DEPENDENCIES = ["@types/node", "prettier", "tsx", "typescript"];
export const JEST_DEPENDENCIES = ["@types/jest", "jest", "ts-jest"];

/** Also restarts the server for files that are not loaded yet, such as a new action. */
export const WATCH =
  'tsx watch --include "./src/**/*.ts" --exclude "./src/actions.gen.ts"';

/**
 * Compiles into an empty `dist`, so that files deleted in `src` do not remain; the callers of actions are checked. The old
 * `dist` is deleted last, so that it remains when a tool is missing.
 */
const BUILD =
  "actionhero types && node -e \"require.resolve('typescript'), fs.rmSync('dist', { recursive: true, force: true })\" && tsc --sourceMap false --declaration";

/** A build is skipped, with success, in an install without dev dependencies, which uses the compiled code as it is. */
export function unlessProduction(build: string): string {
  return `node -e "try { require.resolve('typescript') } catch { process.exit(0) } process.exit(1)" || (${build})`;
}

const LINT = 'prettier --check "src/*/**" "__tests__/*/**"';

/** Install scripts that npm 11 asks about and that are not needed: esbuild belongs to tsx, the watcher to jest. */
const UNNEEDED_SCRIPTS = { "@parcel/watcher": false, esbuild: false };

/** The placeholder script that `npm init` writes. */
const PLACEHOLDER_TEST = 'echo "Error: no test specified" && exit 1';

/** The package.json of a new project. No script calls npm, so each works under any package manager. */
export function projectPackageJson(
  folder: string,
  flavour: Flavour,
  minimal = false,
): PackageJson {
  const examples = minimal ? [] : EXAMPLE_DEPENDENCIES;
  return {
    name: packageName(path.basename(path.resolve(folder))),
    description: "an actionhero project",
    version: "0.1.0",
    // always set: Deno otherwise treats files as ES modules
    type: flavour === "esm" ? "module" : "commonjs",
    engines: { node: String(ownPackage().engines.node) },
    // the command line loads .env, as src/server.ts does
    actionhero: { env: true },
    scripts: {
      postinstall: unlessProduction(BUILD),
      dev: `${WATCH} ./src/server.ts`,
      debug: `${WATCH} --inspect ./src/server.ts`,
      start: "node ./dist/server.js",
      actionhero: "actionhero",
      test: "jest",
      pretest: BUILD,
      build: BUILD,
      check: `tsc --noEmit && ${LINT}`,
      lint: LINT,
      pretty: 'prettier --write "src/*/**" "__tests__/*/**"',
    },
    dependencies: {
      actionhero: ownSpec(folder),
      ...ranges([...DEPENDENCIES, ...examples]),
    },
    devDependencies: ranges([...DEV_DEPENDENCIES, ...JEST_DEPENDENCIES]),
    allowScripts: UNNEEDED_SCRIPTS,
    jest: { ...jestConfig(flavour), setupFiles: ["<rootDir>/jest.env.cjs"] },
  };
}

/**
 * The folder's name as a valid npm name; a name that npm refuses becomes `my_actionhero_project`.
 */
export function packageName(folder: string): string {
  const name = folder
    .toLowerCase()
    .replace(/[^a-z0-9._~-]+/g, "-")
    .replace(/^[._-]+|-+$/g, "")
    .slice(0, MAX_NAME);
  const isRefused = name === "" || REFUSED_NAMES.includes(name);
  return isRefused ? "my_actionhero_project" : name;
}

/** Versions as the framework itself was tested with. */
export function ranges(names: readonly string[]): Record<string, string> {
  const { dependencies, devDependencies } = ownPackage();
  const known = { ...devDependencies, ...dependencies };
  return Object.fromEntries(
    [...names].sort().map((name) => [name, known[name]!]),
  );
}

/** The package.json in a folder, if it exists. */
export function readPackageJson(folder: string): PackageJson | undefined {
  const file = path.join(folder, "package.json");
  if (!fileExists(file)) return undefined;
  try {
    return JSON.parse(fs.readFileSync(file, "utf8")) as PackageJson;
  } catch (error) {
    throw new Error(`${file} cannot be read: ${toError(error).message}`, {
      cause: error,
    });
  }
}

/**
 * Add missing settings, scripts, dependencies and settings of actionhero. Existing values are kept, and no package is added twice.
 * @returns the merged package.json, and the names of differing scripts that were kept
 */
export function mergePackageJson(
  present: PackageJson,
  wanted: PackageJson,
): { merged: PackageJson; keptScripts: string[] } {
  const scripts = { ...present.scripts };
  if (scripts.test === PLACEHOLDER_TEST) delete scripts.test;
  const merged: PackageJson = {
    ...wanted,
    ...present,
    scripts: { ...wanted.scripts, ...scripts },
    ...(wanted.actionhero && {
      actionhero: { ...wanted.actionhero, ...present.actionhero },
    }),
    ...(wanted.allowScripts && {
      allowScripts: { ...wanted.allowScripts, ...present.allowScripts },
    }),
  };
  for (const section of ["dependencies", "devDependencies"] as const) {
    const other =
      section === "dependencies" ? "devDependencies" : "dependencies";
    merged[section] = {
      ...without(wanted[section], present[other]),
      ...present[section],
    };
  }
  const keptScripts = Object.entries(wanted.scripts ?? {})
    .filter(([name, script]) => merged.scripts![name] !== script)
    .map(([name]) => name);
  return { merged, keptScripts };
}

function without(
  entries: Record<string, string> = {},
  excluded: Record<string, string> = {},
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(entries).filter(([name]) => !(name in excluded)),
  );
}

function ownPackage() {
  return JSON.parse(
    fs.readFileSync(path.join(packageRoot, "package.json"), "utf8"),
  ) as {
    engines: { node: string };
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
}

// --- The spec by which this copy of the framework was installed, for the package.json of new projects.

const NAME = "actionhero";

/** npm's record of an installed package. */
interface InstalledEntry {
  version?: string;
  resolved?: string;
  link?: boolean;
}

/**
 * The spec for `dependencies.actionhero` of a project: a tarball, folder or git address stays one (relative to the
 * project), a version from a registry becomes a caret range.
 * @param projectFolder where the package.json will be
 * @param installedAt where the framework is (default: this copy)
 */
export function ownSpec(
  projectFolder: string,
  installedAt = packageRoot,
): string {
  const host = hostFolder(installedAt);
  if (host === undefined) return fileSpec(projectFolder, installedAt); // a repository checkout

  const declared = declaredSpec(host) ?? resolvedSpec(host);
  if (declared === undefined) return `^${readActionheroVersion()}`;
  if (!declared.startsWith("file:")) return declared;
  const target = path.resolve(host, declared.slice("file:".length));
  return fileSpec(projectFolder, target);
}

/** The folder whose `node_modules` contains the framework, if it is installed there. */
function hostFolder(installedAt: string): string | undefined {
  const parent = path.dirname(installedAt);
  return path.basename(parent) === "node_modules"
    ? path.dirname(parent)
    : undefined;
}

function declaredSpec(host: string): string | undefined {
  const file = path.join(host, "package.json");
  if (!fs.existsSync(file)) return undefined;
  const { dependencies, devDependencies } = JSON.parse(
    fs.readFileSync(file, "utf8"),
  ) as Record<string, Record<string, string> | undefined>;
  return dependencies?.[NAME] ?? devDependencies?.[NAME];
}

/** The spec that npm recorded; for a registry URL, the version is used instead. */
function resolvedSpec(host: string): string | undefined {
  const file = path.join(host, "node_modules", ".package-lock.json");
  if (!fs.existsSync(file)) return undefined;
  const { packages } = JSON.parse(fs.readFileSync(file, "utf8")) as {
    packages?: { [name: string]: InstalledEntry };
  };
  const entry = packages?.[`node_modules/${NAME}`];
  if (!entry?.resolved) return undefined;
  if (entry.link) return `file:${entry.resolved}`;
  return /^(file|git)/.test(entry.resolved) ? entry.resolved : undefined;
}

function fileSpec(projectFolder: string, target: string): string {
  const relative = path.relative(projectFolder, target);
  return `file:${relative.split(path.sep).join("/") || "."}`;
}
