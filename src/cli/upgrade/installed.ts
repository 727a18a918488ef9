/**
 * The versions of the packages that compile a project made for v29: the installed ones, else those of the lock file.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { coerce, lt } from "semver";
import { readPackageJson } from "../generate/packageJson";
import type { Change } from "./manifest";

/** The oldest version that the framework's types are compiled with in tests, and why an older one is too old. */
const OLDEST: Record<string, { version: string; why: string }> = {
  typescript: {
    version: "5.4.0",
    why: "the types of this version are not tested with older ones",
  },
  "@types/node": {
    version: "20.0.0",
    why: "older ones lack what the types of this version name",
  },
};

export function installedChanges(root: string): Change[] {
  return Object.entries(OLDEST).flatMap(([name, { version, why }]) => {
    const found = installedVersion(root, name);
    if (found === undefined || !lt(found, version)) return [];
    const message = `${name} ${found} is installed: ${version} or newer is needed (${why})`;
    return [{ file: "package.json", message }];
  });
}

function installedVersion(root: string, name: string): string | undefined {
  const installed = readVersion(
    path.join(root, "node_modules", name, "package.json"),
    ({ version }) => version,
  );
  const locked = () =>
    readVersion(
      path.join(root, "package-lock.json"),
      ({ packages }) => packages?.[`node_modules/${name}`]?.version,
    );
  return coerce(installed ?? locked())?.version;
}

interface Versions {
  version?: string;
  packages?: Record<string, { version?: string } | undefined>;
}

function readVersion(
  file: string,
  pick: (json: Versions) => string | undefined,
): string | undefined {
  if (!fs.existsSync(file)) return undefined;
  try {
    return pick(JSON.parse(fs.readFileSync(file, "utf8")) as Versions);
  } catch {
    return undefined; // npm reports this error itself
  }
}

// --- Changes of a tsconfig.json made for v29, so that it has the same effect with TypeScript 6.

const FILE = "tsconfig.json";

interface Setting {
  /** The setting as a line of JSON. */
  line: string;
  name: RegExp;
  why: string;
}

/** Types of a package that is not installed would be an error of the compiler. */
function settingsFor(root: string): Setting[] {
  const { dependencies, devDependencies } = readPackageJson(root) ?? {};
  const listed = { ...dependencies, ...devDependencies };
  const types = "@types/jest" in listed ? '["node", "jest"]' : '["node"]';
  return [
    {
      name: /"rootDir"\s*:/,
      line: '"rootDir": "./src"',
      why: "TypeScript 6 no longer derives it, and would emit into dist/src",
    },
    {
      name: /"types"\s*:/,
      line: `"types": ${types}`,
      why: "TypeScript 6 no longer takes all of @types",
    },
    {
      name: /"strict"\s*:/,
      line: '"strict": false',
      why: "TypeScript 6 is strict unless told otherwise",
    },
  ];
}

/** The file is edited as text, because it may contain comments. */
export function compilerChanges(root: string): Change[] {
  const file = path.join(root, FILE);
  if (!fs.existsSync(file)) return [];
  const text = fs.readFileSync(file, "utf8");
  return settingsFor(root)
    .filter(({ name }) => !name.test(text))
    .map(({ line, why }) => ({
      file: FILE,
      message: `compilerOptions: ${line} (${why})`,
      apply: (current) =>
        current.replace(/("compilerOptions"\s*:\s*\{)/, `$1\n    ${line},`),
    }));
}
