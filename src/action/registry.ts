/** The loaded actions: `api.actions`. */
import { api } from "../api";
import { discover } from "../config/discover";
import { loadFailure } from "../errors";
import { reportDuplicate } from "../log/duplicates";
import { log } from "../log/log";
import { prepareInputs } from "../input/schemaPlan";
import { definedMiddleware, type Action } from "./action";
import {
  registerMiddleware,
  type MiddlewareRegistry,
} from "../middleware/stack";
import { instancesOf, loadModule, originOf, setOrigin } from "../utils/modules";
import { prepareOutput } from "./output";
import type { ActionMiddleware } from "./actionModule";

/** Plain objects and arrays on purpose: users and their tests change them in place. */
export interface ActionsApi extends MiddlewareRegistry<ActionMiddleware> {
  actions: { [name: string]: { [version: string]: Action } };
  /** The versions of each name; clients that name none get the last. */
  versions: { [name: string]: (string | number)[] };
  /** Load the actions of one file. */
  loadFile(fullFilePath: string, reload?: boolean): Promise<void>;
}

declare module "../api" {
  interface Api {
    actions: ActionsApi;
  }
}

export function createActionsApi(): ActionsApi {
  return {
    actions: {},
    versions: {},
    middleware: {},
    globalMiddleware: [],
    loadFile,
  };
}

/** Load the actions of the project and its plugins, and collect the params they take. */
export async function loadActions(): Promise<void> {
  for (const file of discover("actions")) await api.actions.loadFile(file);
  api.params.buildPostVariables();
}

/** The version for clients that do not specify one, or undefined. */
export function latestVersion(name: string): string | number | undefined {
  const { versions } = api.actions;
  return Object.hasOwn(versions, name) ? versions[name]!.at(-1) : undefined;
}

/** Whether a version of this action may run now for clients of a server: otherwise its params need not be known. */
export function mayRunAction(name: string, connectionType: string): boolean {
  const { actions } = api.actions;
  if (api.running !== true || !Object.hasOwn(actions, name)) return false;
  const versions = actions[name]!;
  for (const version in versions) {
    const { blockedConnectionTypes } = versions[version]!;
    if (!blockedConnectionTypes?.includes(connectionType)) return true;
  }
  return false;
}

const filesOfActions = new WeakMap<Action, string>();

/** The name of an action and the file that it was loaded from, for errors. */
export function placeOf(action: Action): string {
  const file = filesOfActions.get(action);
  return file === undefined ? action.name : `${action.name} (${file})`;
}

async function loadFile(fullFilePath: string, reload = false): Promise<void> {
  try {
    const exported = loadModule(fullFilePath, reload);
    for (const action of instancesOf<Action>(exported, "action")) {
      action.description ??= action.name;
      action.validate();
      registerAction(action, fullFilePath, reload);
    }
  } catch (thrown) {
    const error = loadFailure(thrown, fullFilePath);
    api.exceptionHandlers?.initializer(error, fullFilePath);
    throw error;
  }
}

/** Add an action that comes with the framework. @param source what asks for it, for the log */
export function addAction(action: Action, source: string): void {
  action.validate();
  registerAction(action, source, false);
  api.params.buildPostVariables();
}

function registerAction(action: Action, file: string, reload: boolean): void {
  const { actions, versions } = api.actions;
  const { name, version } = action;
  const known = ownOr<(typeof actions)[string]>(actions, name, () => ({}));
  const list = ownOr<(typeof versions)[string]>(versions, name, () => []);

  if (Object.hasOwn(known, version) && !reload) {
    const earlier = originOf(known[version]!);
    reportDuplicate({ kind: "action", name, file, earlier, level: "warning" });
  }
  for (const gap of prepareInputs(action.inputs))
    log(`the inputs of the action \`${name}\` ${gap}`, "warning");
  prepareOutput(action);
  filesOfActions.set(action, file);
  registerMiddlewareOf(action, reload);
  known[version] = action;
  setOrigin(action, file);
  if (!list.some((present) => String(present) === String(version)))
    list.push(version);
  list.sort(compareVersions);
  log(
    `action ${reload ? "reloaded" : "loaded"}: ${name} @ v${version}, ${file}`,
    reload ? "info" : "debug",
  );
}

/** The own property of a table, which is created if it is missing. */
function ownOr<Value>(
  table: { [name: string]: Value },
  name: string,
  create: () => Value,
): Value {
  const present = Object.hasOwn(table, name) ? table[name] : undefined;
  return present ?? (table[name] = create());
}

/** @throws Error when another middleware has the name of one */
function registerMiddlewareOf(action: Action, reload: boolean): void {
  for (const middleware of definedMiddleware(action)) {
    const present = api.actions.middleware[middleware.name];
    if (present && present !== middleware && !reload)
      throw new Error(
        `there is another middleware \`${middleware.name}\` than that of the action \`${action.name}\`: give one of them another \`name\``,
      );
    registerMiddleware(api.actions, middleware, false);
  }
}

/** Numbers by value, before texts in their own order with numbers inside compared by value. */
function compareVersions(a: string | number, b: string | number): number {
  const [x, y] = [Number(a), Number(b)];
  if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}
