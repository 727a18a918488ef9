/** Writes the types of the actions and tasks of a project: `actions.gen.ts`. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { Action } from "../action/action";
import { latestVersion } from "../action/registry";
import { api } from "../api";
import { env, projectRoot, typescript } from "../config/config";
import { discover } from "../config/discover";
import { toError } from "../errors";
import { log } from "../log/log";
import { requestMethods, takesMethod } from "../route/registry";
import { routeSource, type RouteType } from "../route/tables";
import { instancesOf, loadModule, originOf } from "../utils/modules";

/** Name and type of each member of an interface. */
type Members = [name: string, type: string][];

const FILE = "actions.gen.ts";

/** The default path of the types. */
export function typesFile(): string {
  return path.join(projectRoot, "src", FILE);
}

/** Whether a file contains generated types, whose changes do not affect code. */
export function isTypesFile(file: string): boolean {
  return path.basename(file) === FILE;
}

/**
 * Write the types of the loaded actions and tasks, unless the file is up to date.
 * @returns whether the file was written
 */
export function writeTypes(file: string): boolean {
  const text = describeTypes(file);
  if (isWritten(file, text)) return false;
  fs.mkdirSync(path.dirname(file), { recursive: true });
  // another development server of this folder may write it at the same time
  const written = `${file}.${process.pid}.tmp`;
  fs.writeFileSync(written, text);
  fs.renameSync(written, file);
  return true;
}

/** Whether the file is up to date. */
export function areTypesWritten(file: string): boolean {
  return isWritten(file, describeTypes(file));
}

/** Keep an existing file up to date during development. */
export function keepTypes(): void {
  if (env !== "development" || !typescript) return;
  const file = typesFile();
  if (!fs.existsSync(file)) return;
  try {
    if (writeTypes(file)) log(`written: ${file}`, "notice");
  } catch (error) {
    log(`${file} cannot be written: ${toError(error).message}`, "warning");
  }
}

function isWritten(file: string, text: string): boolean {
  return fs.existsSync(file) && fs.readFileSync(file, "utf8") === text;
}

function describeTypes(file: string): string {
  const sources = new Sources(path.dirname(path.resolve(file)));
  const actions = actionMembers(sources);
  const tasks = taskMembers(sources);
  const types = [...actions, ...tasks].map(([, type]) => type).join("\n");
  const used = ["ActionSignature", "AnySignature", "TaskSignature"].filter(
    (name) => types.includes(name),
  );
  const imports = used.map(
    (name) => `import type { ${name} } from "actionhero";`,
  );
  const modules = [...sources.imports].map(
    ([specifier, name]) =>
      `import type * as ${name} from ${JSON.stringify(specifier)};`,
  );
  return `/* eslint-disable */
/** Written by \`npx actionhero types\`: run that again instead of changing it. */
${[...imports, ...modules].join("\n")}

/** What each action takes and responds, for \`createClient<Actions>()\`. */
${interfaceOf("Actions", actions)}

/** What the jobs of each task are given. */
${interfaceOf("Tasks", tasks)}

/** How clients ask for actions that have a path of their own, for \`createClient({ routes })\`. */
${routesConst()}

declare module "actionhero" {
  interface ActionRegistry extends Actions {}
  interface TaskRegistry extends Tasks {}
}
`;
}

function interfaceOf(name: string, members: Members): string {
  const lines = members.map(
    ([key, type]) => `  ${JSON.stringify(key)}: ${type};\n`,
  );
  return `export interface ${name} {\n${lines.join("")}}`;
}

/** Each version, and the name alone for the default version. */
function actionMembers(sources: Sources): Members {
  const { actions } = api.actions;
  const typeOf = sources.typesOf<{ name: string; version: string | number }>(
    "actions",
    "ActionSignature",
    ({ name, version }) => `${name}@${version}`,
  );
  const members: Members = [];
  for (const name of Object.keys(actions).sort()) {
    const versions = Object.keys(actions[name]!);
    if (!Object.values(actions[name]!).some(isOfProject)) continue;
    members.push([
      name,
      `Actions[${JSON.stringify(`${name}@${latestVersion(name)}`)}]`,
    ]);
    for (const version of versions)
      members.push([`${name}@${version}`, typeOf(`${name}@${version}`)]);
  }
  return members;
}

function taskMembers(sources: Sources): Members {
  const { tasks } = api.tasks;
  const typeOf = sources.typesOf<{ name: string }>(
    "tasks",
    "TaskSignature",
    ({ name }) => name,
  );
  return Object.keys(tasks)
    .filter((name) => isOfProject(tasks[name]!))
    .sort()
    .map((name) => [name, typeOf(name)]);
}

/** The framework's own actions depend on the environment, and their origin is a setting instead of a file. */
function isOfProject(instance: object): boolean {
  return path.isAbsolute(originOf(instance) ?? path.sep);
}

/** The TypeScript files that actions and tasks come from, as modules of the written file. */
class Sources {
  /** The names of the modules by their specifiers. */
  readonly imports = new Map<string, string>();
  private readonly extension = isModule() ? ".js" : "";

  constructor(private readonly folder: string) {}

  /**
   * The types of the exports of one kind of file, by `keyOf`. Of two with the same key, the later is used, like at loading.
   */
  typesOf<T>(
    kind: "actions" | "tasks",
    generic: string,
    keyOf: (instance: T) => string,
  ): (key: string) => string {
    const found = new Map<string, { file: string; name: string }>();
    for (const file of discover(kind)) {
      for (const [name, value] of Object.entries(loadModule(file)))
        for (const instance of instancesOf(
          { [name]: value },
          kind.slice(0, -1),
        ))
          found.set(keyOf(instance as T), { file, name });
    }
    return (key) => {
      const export_ = found.get(key);
      const source = export_ && sourceOf(export_.file);
      if (!source) return "AnySignature";
      const module = this.nameOf(source);
      return `${generic}<(typeof ${module})[${JSON.stringify(export_.name)}]>`;
    };
  }

  private nameOf(source: string): string {
    const relative = path
      .relative(this.folder, source)
      .replaceAll(path.sep, "/")
      .replace(/\.ts$/, this.extension);
    const specifier = relative.startsWith(".") ? relative : `./${relative}`;
    const name = this.imports.get(specifier) ?? `m${this.imports.size}`;
    this.imports.set(specifier, name);
    return name;
  }
}

/** The TypeScript file of a loaded file; files of plugins have none in this project. */
function sourceOf(file: string): string | undefined {
  if (file.endsWith(".ts")) return file;
  const compiled = path.join(projectRoot, "dist") + path.sep;
  if (!file.startsWith(compiled)) return undefined;
  const below = file.slice(compiled.length).replace(/\.js$/, ".ts");
  const source = path.join(projectRoot, "src", below);
  return fs.existsSync(source) ? source : undefined;
}

/** ES modules name the extension of what they import. */
function isModule(): boolean {
  const file = path.join(projectRoot, "package.json");
  if (!fs.existsSync(file)) return false;
  const { type } = JSON.parse(fs.readFileSync(file, "utf8")) as {
    type?: string;
  };
  return type === "module";
}

function routesConst(): string {
  const lines = Object.keys(api.actions.actions)
    .sort()
    .flatMap((name) => Object.entries(clientRoutes(name, isOfProject)))
    .map(([name, route]) => {
      const [method, at] = route.map((part) => JSON.stringify(part));
      return `  ${JSON.stringify(name)}: [${method}, ${at}],\n`;
    });
  return `export const routes = {\n${lines.join("")}} as const;`;
}

/** The routes of an action's versions: that of the default version by the name, other ones by `name@version`. */
export function clientRoutes(
  name: string,
  isWanted: (action: Action) => boolean,
): Record<string, ClientRoute> {
  const versions = api.actions.actions[name]!;
  const latest = versions[latestVersion(name)!];
  const ofLatest = latest && isWanted(latest) ? clientRoute(latest) : undefined;
  const routes: Record<string, ClientRoute> = ofLatest
    ? { [name]: ofLatest }
    : {};
  for (const action of Object.values(versions)) {
    const route = isWanted(action) && clientRoute(action);
    if (route && route.join() !== ofLatest?.join())
      routes[`${name}@${action.version}`] = route;
  }
  return routes;
}

type ClientRoute = [method: string, path: string];

/**
 * GET is preferred. A route for all methods does not determine the method: clients use POST, as without a route.
 */
function clientRoute(action: Action): ClientRoute | undefined {
  const { routes } = api.routes;
  const isPostRefused = !takesMethod(action, "post");
  const isAllowed = (route: RouteType) =>
    route.action === action.name &&
    (isPostRefused || routeSource(route) !== "automatic") &&
    canBeFilled(route) &&
    isOfVersion(route, action) &&
    !routes.head.includes(route);
  for (const method of requestMethods) {
    if (method === "head" || !takesMethod(action, method)) continue;
    const route = routes[method].find(isAllowed);
    if (route) return [method, clientPath(route)];
  }
  return undefined;
}

/** The rest of the path is no param. */
function canBeFilled({ dir, matchTrailingPathParts }: RouteType): boolean {
  return !dir && !matchTrailingPathParts;
}

/** Clients replace what begins with a colon by params, and servers decode literal paths. */
function clientPath({ path: at, literal }: RouteType): string {
  return literal ? at.replaceAll(":", "%3A") : at;
}

/** With a route of no version, clients select the version by a param. */
function isOfVersion({ apiVersion }: RouteType, { version }: Action): boolean {
  return !apiVersion || String(apiVersion) === String(version);
}
