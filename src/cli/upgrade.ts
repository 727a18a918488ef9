/** Changes of a project made for v29: of its package.json, its tsconfig.json and its code. */
import * as fs from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../environment/runtime";
import {
  ownSpec,
  type PackageJson,
  ranges,
  readPackageJson,
  WATCH,
} from "./generate/packageJson";
import { coerce, lt } from "semver";
import { builtinModules } from "node:module";
import { listSourceFiles } from "../utils/fileUtils";

export const MANIFEST = "package.json";
/** Packages whose `latest` is replaced by the framework's own range. */
const KNOWN = [
  "@types/jest",
  "@types/node",
  "ioredis",
  "ioredis-mock",
  "jest",
  "prettier",
  "ts-jest",
  "typescript",
  "winston",
  "ws",
];

/** Sections in which a project or a plugin can list the framework. */
const SECTIONS = [
  "dependencies",
  "devDependencies",
  "peerDependencies",
] as const;

/** The folder of a project's package.json: its own, or one above, as of a project in a folder of a package. */
export function packageFolder(root: string): string {
  for (let folder = root; ; folder = path.dirname(folder)) {
    if (fs.existsSync(path.join(folder, MANIFEST))) return folder;
    if (path.dirname(folder) === folder) return root;
  }
}

/**
 * Changes of package.json; empty if it is up to date.
 * @param folder its folder
 */
export function manifestChanges(folder: string): Change[] {
  const manifest = readPackageJson(folder);
  if (!manifest)
    return [{ file: MANIFEST, message: "there is none in this folder" }];
  return [
    ...frameworkRange(folder, manifest),
    ...nodeVersion(manifest),
    ...latestRanges(manifest),
    ...developmentLoop(manifest),
  ];
}

function frameworkRange(root: string, manifest: PackageJson): Change[] {
  const section = SECTIONS.find((one) => manifest[one]?.actionhero);
  if (section === undefined)
    return [
      {
        file: MANIFEST,
        message: "dependencies.actionhero is missing",
        apply: edit((json) => {
          (json.dependencies ??= {}).actionhero = ownSpec(root);
        }),
      },
    ];
  const present = manifest[section]!.actionhero!;
  // a plugin that supports several versions may use any range
  if (section === "peerDependencies" && /\|\||>=|\*/.test(present)) return [];
  const major = /^[\^~>=v]*(\d+)/.exec(present)?.[1];
  if (major === undefined || Number(major) >= 30) return [];
  const wanted = `^${ownVersion()}`;
  return [
    {
      file: MANIFEST,
      message: `${section}.actionhero: "${present}" -> "${wanted}"`,
      apply: edit((json) => {
        json[section]!.actionhero = wanted;
      }),
    },
  ];
}

function nodeVersion(manifest: PackageJson): Change[] {
  const wanted = ownEngine();
  const { node } = (manifest.engines ?? {}) as { node?: string };
  if (node === undefined || /^\D*(2[0-9]|[3-9]\d)/.test(node)) return [];
  return [
    {
      file: MANIFEST,
      message: `engines.node: "${node}" -> "${wanted}"`,
      apply: edit((json) => {
        (json.engines as { node: string }).node = wanted;
      }),
    },
  ];
}

/** v29 wrote `latest`, which can install a different version every day. */
function latestRanges(manifest: PackageJson): Change[] {
  return (["dependencies", "devDependencies"] as const).flatMap((section) =>
    Object.entries(manifest[section] ?? {})
      .filter(
        ([name, range]) => range === "latest" && !isLeaving(name, manifest),
      )
      .map(([name]): Change => {
        const wanted = KNOWN.includes(name) ? ranges([name])[name] : undefined;
        if (wanted === undefined)
          return {
            file: MANIFEST,
            message: `${section}.${name}: "latest" should be a range`,
          };
        return {
          file: MANIFEST,
          message: `${section}.${name}: "latest" -> "${wanted}"`,
          apply: edit((json) => {
            json[section]![name] = wanted;
          }),
        };
      }),
  );
}

/** Whether `developmentLoop` removes the package. */
function isLeaving(name: string, { scripts = {} }: PackageJson): boolean {
  return (
    name === "ts-node-dev" &&
    Object.values(scripts).some((script) => script.includes(name))
  );
}

/** ts-node-dev is no longer maintained and does not run TypeScript 6. */
function developmentLoop(manifest: PackageJson): Change[] {
  const scripts = manifest.scripts ?? {};
  const old = Object.entries(scripts).filter(([, script]) =>
    script.includes("ts-node-dev"),
  );
  if (old.length === 0) return [];
  return [
    {
      file: MANIFEST,
      message: `scripts ${old.map(([name]) => name).join(", ")}: "ts-node-dev" -> "tsx watch"`,
      apply: edit((json) => {
        for (const [name, script] of old) json.scripts![name] = withTsx(script);
        delete json.devDependencies?.["ts-node-dev"];
        json.devDependencies = { ...json.devDependencies, ...ranges(["tsx"]) };
      }),
    },
  ];
}

function withTsx(script: string): string {
  return script
    .replace(/ts-node-dev/g, WATCH)
    .replace(/ --(no-deps|transpile-only|respawn|cls|files)\b/g, "")
    .replace(/ -- /g, " ")
    .replace(/(\S*\/src\/server)(?=\s|$)/g, "$1.ts")
    .trim();
}

/** A change of the file's JSON. */
function edit(change: (json: PackageJson) => void) {
  return (text: string): string => {
    const json = JSON.parse(text) as PackageJson;
    change(json);
    return `${JSON.stringify(json, null, 2)}\n`;
  };
}

function ownVersion(): string {
  return readOwn().version;
}

function ownEngine(): string {
  return readOwn().engines.node;
}

function readOwn() {
  return JSON.parse(
    fs.readFileSync(path.join(packageRoot, MANIFEST), "utf8"),
  ) as {
    version: string;
    engines: { node: string };
  };
}

/** One necessary change of a project made for v29. */
export interface Change {
  /** Relative to the folder of the project; `package.json` to its own folder. */
  file: string;
  message: string;
  /** Applies the change to the text of the file; undefined if it must be made by hand. */
  apply?: (text: string) => string;
}

// --- The versions of the packages that compile a project made for v29: the installed ones, else those of the lock
// file.

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

/** @param folder that of the package.json */
export function installedChanges(folder: string): Change[] {
  return Object.entries(OLDEST).flatMap(([name, { version, why }]) => {
    const found = installedVersion(folder, name);
    if (found === undefined || !lt(found, version)) return [];
    const message = `${name} ${found} is installed: ${version} or newer is needed (${why})`;
    return [{ file: MANIFEST, message }];
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
  const manifest = readPackageJson(packageFolder(root));
  const { dependencies, devDependencies } = manifest ?? {};
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

// --- Changes of the code.

/** Packages that v29 installed, with its ranges: projects could import them without declaring them. */
const CAME_ALONG: Record<string, string> = {
  browser_fingerprint: "^2.0.5",
  commander: "^12.1.0",
  "dot-prop": "^6.0.1",
  etag: "^1.8.1",
  formidable: "^3.5.2",
  glob: "^8.1.0",
  ioredis: "^5.6.0",
  mime: "^3.0.0",
  "node-resque": "^9.3.8",
  primus: "^8.0.9",
  qs: "^6.14.0",
  "type-fest": "^4.38.0",
  uuid: "^11.1.0",
  winston: "^3.17.0",
  ws: "^8.18.1",
  yargs: "^17.7.2",
};

/** Names that projects imported from deep paths, and that the package itself exports. */
export const EXPORTED_NOW = [
  "Action",
  "ActionProcessor",
  "ActionheroConfigInterface",
  "ActionheroLogLevel",
  "ActionsStatus",
  "Api",
  "CLI",
  "Connection",
  "ExceptionReporter",
  "Initializer",
  "Input",
  "Inputs",
  "ParamsFrom",
  "PluginConfig",
  "PluginConfigRecord",
  "Process",
  "RouteMethod",
  "RouteType",
  "RoutesConfig",
  "Server",
  "Task",
  "WebServer",
  "api",
  "cache",
  "chatRoom",
  "config",
  "connectionVerbs",
  "env",
  "id",
  "log",
  "loggers",
  "rebuildConfig",
  "redis",
  "route",
  "specHelper",
  "task",
  "utils",
];

/** Remains of versions before 29. */
const REMOVED: { pattern: RegExp; message: string }[] = [
  {
    pattern: /\bPrimus\b|servers\.websocket\.server\b/,
    message:
      "uses the Primus server object: the websocket server no longer has one",
  },
  {
    pattern: /\bconnection\.localize\b|\bapi\.i18n\b|\bi18n\.localize\b/,
    message:
      "uses localization, which went with version 26: use a package such as i18n",
  },
  {
    pattern: /^\s*(?:module\.)?exports\.\w+\s*=\s*DEFAULT\.\w+\(/m,
    message:
      "the block of an environment is DEFAULT.x(...), which are settings: a block holds namespaces, { x: () => ({ ... }) }",
  },
];

const IMPORT =
  /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\(\s*)["']([^"'\n]+)["']/g;

/**
 * Check every import of the project's TypeScript and JavaScript.
 * @param onFile called with each file before it is read
 */
export function sourceChanges(
  root: string,
  onFile: (file: string) => void = () => undefined,
): Change[] {
  const manifest = readPackageJson(packageFolder(root));
  // without a manifest, no dependency can be added
  const declared = new Set(
    Object.keys(
      manifest
        ? {
            ...manifest.dependencies,
            ...manifest.devDependencies,
            ...manifest.peerDependencies,
          }
        : CAME_ALONG,
    ),
  );
  return ["src", "__tests__"].flatMap((folder) =>
    listSourceFiles(path.join(root, folder)).flatMap((file) => {
      const shown = path.relative(root, file);
      onFile(shown);
      return changesIn(file, shown, declared);
    }),
  );
}

/** @param declared collects the packages that a change adds, so that the next file does not add them again */
function changesIn(
  file: string,
  shown: string,
  declared: Set<string>,
): Change[] {
  const text = fs.readFileSync(file, "utf8");
  const imported = new Set(
    [...text.matchAll(IMPORT)].map(([, specifier]) => specifier!),
  );
  const changes: Change[] = [];
  for (const specifier of imported) {
    if (specifier.startsWith("actionhero/dist/"))
      changes.push(deepImport(text, specifier, shown));
    const name = packageName(specifier);
    if (!Object.hasOwn(CAME_ALONG, name) || declared.has(name)) continue;
    declared.add(name);
    changes.push(newDependency(name, CAME_ALONG[name]!, shown));
  }
  for (const { pattern, message } of REMOVED)
    if (pattern.test(text)) changes.push({ file: shown, message });
  if (/[\\/]config[\\/]servers[\\/]/.test(shown))
    changes.push({
      file: shown,
      message:
        "config/servers belongs to versions before 28: move the settings to config/web.ts, websocket.ts or socket.ts",
    });
  return changes;
}

function newDependency(name: string, range: string, importer: string): Change {
  return {
    file: MANIFEST,
    message: `dependencies.${name}: "${range}" (${importer} imports it, and v29 brought it along)`,
    apply: edit((json) => {
      json.dependencies = { ...json.dependencies, [name]: range };
    }),
  };
}

/** The folders of `dist` have changed; the package itself exports what projects need from them. */
function deepImport(text: string, specifier: string, file: string): Change {
  const statement = new RegExp(
    `import\\s*(?:type\\s*)?\\{([^}]*)\\}\\s*from\\s*["']${specifier}["']`,
  ).exec(text);
  const names = (statement?.[1] ?? "")
    .split(",")
    .map((name) => name.trim().split(/\s+as\s+/)[0]!)
    .filter((name) => name !== "");
  const known =
    names.length > 0 && names.every((name) => EXPORTED_NOW.includes(name));
  if (!known) return { file, message: `"${specifier}" is no longer there` };
  return {
    file,
    message: `"${specifier}" -> "actionhero"`,
    apply: (current) =>
      current
        .replaceAll(`"${specifier}"`, '"actionhero"')
        .replaceAll(`'${specifier}'`, "'actionhero'"),
  };
}

function packageName(specifier: string): string {
  if (specifier.startsWith(".") || specifier.startsWith("node:")) return "";
  const parts = specifier.split("/");
  const name = specifier.startsWith("@")
    ? parts.slice(0, 2).join("/")
    : parts[0]!;
  return builtinModules.includes(name) ? "" : name;
}
