/** Writes single files into a project: an action, a task, a server and so on, with the test beside them. */
import * as fs from "node:fs";
import * as path from "node:path";
import { createFileSafely, fileExists } from "../../utils/fileUtils";
import { fillCode, readTemplate, stringLiteral } from "./templates";
import * as semver from "semver";
import { findProjectRoot } from "../../environment/runtime";
import { readPackageJson } from "./packageJson";

/** The keys of `config.general.paths` whose folders hold generated code. */
type PathKey = "action" | "task" | "initializer" | "server" | "cli" | "test";

interface ComponentFile {
  /** Template below `bin/templates`, e.g. `"action.ts"`. */
  template: string;
  path: PathKey;
  /** The folder inside that path (default: none). */
  folder?: string;
}

/** Values of a template: strings are written as string literals, numbers unchanged. */
type ComponentValues = { name: string } & {
  [key: string]: string | number;
};

/**
 * Write the files of one component, all or none.
 * @throws Error `file '<path>' already exists`, or when the name is invalid or a value is empty
 */
export function generateComponent(
  files: readonly ComponentFile[],
  values: ComponentValues,
): void {
  refuseStrangeName(values.name);
  refuseEmpty(values);
  const texts = Object.entries(values).map(([key, value]) => [
    key,
    typeof value === "string" ? stringLiteral(value) : value,
  ]);
  const code = {
    ...(Object.fromEntries(texts) as Record<string, string | number>),
    className: className(values.name, files[0]!.template),
    valueName: valueName(values.name, files[0]!.template),
  };
  const targets = files.map((file) =>
    path.join(folderOf(file.path), file.folder ?? "", `${values.name}.ts`),
  );
  const written = files.map((file, i) => ({
    target: targets[i]!,
    content: fillCode(readTemplate(file.template), {
      ...code,
      source: importPath(targets[i]!, targets[0]!),
    }),
  }));

  const taken = written.find(({ target }) => fileExists(target));
  if (taken)
    throw new Error(`file '${path.normalize(taken.target)}' already exists`);
  for (const { target, content } of written) {
    fs.mkdirSync(path.dirname(target), { recursive: true });
    console.log(createFileSafely(target, content));
  }
}

/** The import specifier from one file to another. */
function importPath(from: string, to: string): string {
  const relative = path.relative(path.dirname(from), to);
  const name = relative.split(path.sep).join("/").replace(/\.ts$/, "");
  return stringLiteral(name.startsWith(".") ? name : `./${name}`);
}

/** The class is named after the component: `listUsers` and `list-users` are `ListUsers`. */
export function className(name: string, template: string): string {
  const joined = joinWords(name);
  return isIdentifier(joined) ? joined : `My${base(template)}${joined}`;
}

/** The constant of a definition: `list-users` is `listUsers`. */
export function valueName(name: string, template: string): string {
  const joined = joinWords(name);
  const camelCase = joined.slice(0, 1).toLowerCase() + joined.slice(1);
  return isIdentifier(camelCase) ? camelCase : `my${base(template)}${joined}`;
}

function joinWords(name: string): string {
  return path.posix
    .basename(name)
    .split(/[^\p{L}\p{N}_$]+/u)
    .filter((word) => word !== "")
    .map((word) => word[0]!.toUpperCase() + word.slice(1))
    .join("");
}

function isIdentifier(name: string): boolean {
  return (
    /^[\p{L}_$]/u.test(name) &&
    !IMPORTED.includes(name) &&
    !RESERVED.includes(name)
  );
}

/** Names that templates import: a class of the same name would shadow them. */
const IMPORTED = [
  "Action",
  "ActionProcessor",
  "CLI",
  "Connection",
  "Initializer",
  "ParamsFrom",
  "Process",
  "Server",
  "Task",
  "defineAction",
  "defineTask",
  "z",
];

/** Reserved words, which cannot name a constant. */
const RESERVED =
  "arguments await break case catch class const continue debugger default delete do else enum eval export extends false finally for function if implements import in instanceof interface let new null package private protected public return static super switch this throw true try typeof undefined var void while with yield".split(
    " ",
  );

/** The kind of a template: `"action.schema.ts"` is a template of actions. */
function base(template: string): string {
  const [kind] = path.basename(template).split(".") as [string];
  return kind === "cli" ? "Command" : kind[0]!.toUpperCase() + kind.slice(1);
}

/** Characters and names that are invalid in file names on Windows. */
const IMPOSSIBLE = /[<>:"|?*]|\p{Cc}|[. ]$/u;
const DEVICES = /^(con|prn|aux|nul|com\d|lpt\d)$/i;

/** Names of folders, and of the member that objects cannot have. */
const NO_NAMES = ["", ".", "..", "__proto__"];

/** The name is a file name; it may contain folders, but cannot leave the target folder. */
function refuseStrangeName(name: string): void {
  const parts = name.split(/[\\/]/);
  if (parts.some((part) => NO_NAMES.includes(part)))
    throw new Error(`\`${name}\` is not a name`);
  if (parts.some((part) => IMPOSSIBLE.test(part) || DEVICES.test(part)))
    throw new Error(
      `\`${name}\` cannot be the name of a file on every system: generate it under another name, and change \`name\` in the file`,
    );
}

/** Namespaces of the configuration: a server has the settings of its type. */
const NAMESPACES = [
  "errors",
  "general",
  "health",
  "logger",
  "metrics",
  "plugins",
  "process",
  "redis",
  "routes",
  "securityHeaders",
  "session",
  "tasks",
  "tracing",
] as const;

/** The framework's own: code of the same name would replace them. */
export const OWN_NAMES = {
  initializer: [
    "actions",
    "chatRoom",
    "cluster",
    "connections",
    "developmentMode",
    "exceptions",
    "health",
    "metrics",
    "overload",
    "params",
    "redis",
    "resque",
    "resqueWorkers",
    "routes",
    "servers",
    "specHelper",
    "staticFile",
    "storedSessions",
    "tasks",
    "tracing",
  ],
  server: ["web", "websocket", "socket", "testServer", ...NAMESPACES],
  task: ["cleanLogFiles"],
} as const;

/** @throws Error if the framework has one of this name */
export function refuseOwnName(
  kind: keyof typeof OWN_NAMES,
  name: string,
): void {
  if ((OWN_NAMES[kind] as readonly string[]).includes(name))
    throw new Error(
      `\`${name}\` is a name of actionhero's own for ${kind}s: choose another one`,
    );
}

/** The boot would fail without them; an example is optional. */
function refuseEmpty({ example: _, ...required }: ComponentValues): void {
  for (const [flag, value] of Object.entries(required))
    if (typeof value === "string" && value.trim() === "")
      throw new Error(`--${flag} needs a value`);
}

/** Generated code belongs to the sources, also when the compiled project runs. */
function folderOf(key: PathKey): string {
  // loaded here, because loading it is what builds the configuration
  const { config } =
    require("../../config/config") as typeof import("../../config/config");
  const { dist, src, ...lists } = config.general.paths as {
    dist: string;
    src: string;
  } & Record<PathKey, string[]>;
  return lists[key][0]!.replace(dist, src);
}

// --- The form of an action or a task: a definition with a schema, a definition without, or a class.

/** The option of the generators for the form of version 29. */
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
  // zod 3 provides no JSON Schema; a tag or a link has no version
  const oldest = semver.validRange(range) && semver.minVersion(range);
  return !oldest || oldest.major >= 4;
}
