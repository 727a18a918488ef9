/** Lets files of the style of version 3 be loaded beside those of today, from the folders of the project. */
import * as path from "node:path";
import { Action, type ActionResponse } from "../action/action";
import type { ActionProcessor } from "../action/actionProcessor";
import { globalSafeParams } from "../action/safeParams";
import { ActionsStatus, errorForStatus } from "../action/status";
import { api } from "../api";
import { Initializer } from "../boot/initializer";
import { projectFolders } from "../config/discover";
import { toError } from "../errors";
import { isMissing } from "../input/field";
import type { Inputs } from "../input/types";
import { log } from "../log/log";
import { Task, type TaskInputs } from "../task/task";
import { adaptModules, type ModuleAdapter } from "../utils/modules";
import type { Connection } from "../connection/connection";

/** `exports.action`, `exports.task`, and in a folder of initializers a function that is named as its file. */
const adaptLegacyModule: ModuleAdapter = (exported, file) => {
  const { action, task } = exported;
  const name = path.basename(file, path.extname(file));
  const adapted = { ...exported };
  if (isDefinition(action))
    adapted.action = fromLegacyAction(action as LegacyAction);
  if (isDefinition(task)) adapted.task = fromLegacyTask(task as LegacyTask);
  const initializer = Object.hasOwn(exported, name)
    ? exported[name]
    : undefined;
  if (
    isPlainFunction(initializer) &&
    isIn(file, projectFolders("initializers"))
  )
    adapted[name] = fromLegacyInitializer(name, initializer);
  return adapted;
};

/** From now on, files of both styles are loaded. */
export function loadLegacyModules(): void {
  adaptModules(adaptLegacyModule);
}

function isDefinition(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as { run?: unknown }).run === "function"
  );
}

/** No class: neither one of the language, nor one that a compiler has made a function of. */
function isPlainFunction(value: unknown): value is LegacyInitializer {
  if (typeof value !== "function") return false;
  if (/^class\b/.test(Function.prototype.toString.call(value))) return false;
  const { prototype } = value as { prototype?: object };
  return !prototype || Object.getOwnPropertyNames(prototype).length === 1;
}

function isIn(file: string, folders: readonly string[]): boolean {
  return folders.some((folder) => file.startsWith(folder + path.sep));
}

// --- Tasks of the style of version 3: `{ name, description, scope, frequency, run(api, params, next) }`.

export interface LegacyTask {
  name: string;
  description?: string;
  /** One node or every node (default `"any"`). */
  scope?: "any" | "all";
  /** ms between two runs; 0: never by itself (default 0). */
  frequency?: number;
  /** `next()` ends it, `next(error)` with an error; anything else that it is given is the result. */
  run: (api: any, params: any, next: Next) => unknown;
  [property: string]: any;
}

/**
 * A class of today for a task of old.
 * @throws Error for an invalid task
 */
export function fromLegacyTask(legacy: LegacyTask): new () => Task {
  if (typeof legacy?.run !== "function")
    throw new Error(`task \`${legacy?.name}\` has no run method`);

  const { run, ...settings } = legacy;
  return class extends Task {
    constructor() {
      super();
      Object.assign(this, settings);
      this.description = legacy.description ?? legacy.name;
    }

    override async run(params: TaskInputs): Promise<unknown> {
      const outcome = await untilNext(
        (next) => run.call(legacy, api, { ...params }, next), // those of today are frozen
        run.length > 2,
      );
      const error: unknown = outcome.find((value) => value instanceof Error);
      if (error) throw error as Error;
      return outcome.at(-1) as unknown;
    }
  };
}

// --- Initializers of the style of version 3: `exports.name = function (api, next)`.

const REMIND_MS = 10_000;

export type LegacyInitializer = (api: any, next: Next) => unknown;

/** A class of today for an initializer of old; it runs when the server loads, after the framework's own. */
export function fromLegacyInitializer(
  name: string,
  legacy: LegacyInitializer,
): new () => Initializer {
  return class extends Initializer {
    constructor() {
      super();
      this.name = name;
    }

    override async initialize(): Promise<void> {
      // without it, a process that waits for nothing else would end, and say nothing
      const reminder = setInterval(
        () => log(`initializer ${name} has not called next yet`, "warning"),
        REMIND_MS,
      );
      try {
        const outcomes: unknown[] = await untilNext(
          (next) => legacy(api, next),
          legacy.length > 1,
        );
        if (outcomes[0] instanceof Error) throw outcomes[0];
      } finally {
        clearInterval(reminder);
      }
    }
  };
}

// --- Actions of the style of version 3: `{ name, description, inputs: { required, optional }, run(api, connection, next) }`.

export interface LegacyAction {
  name: string;
  description?: string;
  /** Lists of names; the inputs of today are understood, too. */
  inputs?: { required?: string[]; optional?: string[] } | Inputs;
  outputExample?: any;
  /** `next(connection, toRender)` ends it; `toRender` false: nothing is sent. */
  run: (api: any, connection: LegacyConnection, next: Next) => unknown;
  [property: string]: any;
}

/**
 * A class of today for an action of old.
 * @throws Error for an invalid action
 */
export function fromLegacyAction(legacy: LegacyAction): new () => Action {
  if (typeof legacy?.run !== "function")
    throw new Error(`action \`${legacy?.name}\` has no run method`);
  const { run, ...settings } = legacy;
  const inputs = inputsOf(legacy);
  const needed = safeAndRequired(legacy);

  return class extends Action {
    constructor() {
      super();
      Object.assign(this, settings, { inputs });
      this.description = legacy.description ?? legacy.name;
    }

    override async run(data: ActionProcessor<any>): Promise<ActionResponse> {
      data.missingParams = needed.filter((name) =>
        isMissing(data.params[name]),
      );
      if (data.missingParams.length > 0)
        throw await errorForStatus(
          ActionsStatus.MissingParams,
          data,
          undefined,
        );
      const connection = legacyConnection(data);
      const outcome = await untilNext(
        (next) => run.call(legacy, api, connection, next),
        run.length > 2,
      );
      const [, toRender] = outcome as [unknown, unknown];
      if (toRender === false) data.toRender = false;
      if (connection.response instanceof Error) throw connection.response;
      Object.assign(data.response as object, connection.response);
      const error: unknown = connection.error;
      if (error)
        throw typeof error === "object" ? (error as Error) : toError(error);
    }
  };
}

function inputsOf({ inputs = {} }: LegacyAction): Inputs {
  const { required, optional } = inputs;
  if (!Array.isArray(required) && !Array.isArray(optional))
    return inputs as Inputs;
  const names = [...listOf(optional), ...listOf(required)];
  return Object.fromEntries(
    names
      .filter((name) => !globalSafeParams.includes(name))
      .map((name) => [name, { required: listOf(required).includes(name) }]),
  );
}

/** Params that every action takes may not be declared any more, but may still be needed. */
function safeAndRequired({ inputs = {} }: LegacyAction): string[] {
  return listOf((inputs as { required?: unknown }).required).filter((name) =>
    globalSafeParams.includes(name),
  );
}

function listOf(names: unknown): string[] {
  return Array.isArray(names) ? (names as string[]) : [];
}

// --- Functions in the style of version 3, which pass their outcome to a callback.

export type Next = (...outcome: any[]) => void;

/**
 * Run `work`, which calls `next` when it is done.
 * @returns what was given to `next`; for a function that returns a promise and takes no `next`, nothing
 * @throws what it throws or rejects with
 */
export function untilNext(
  work: (next: Next) => unknown,
  takesNext: boolean,
): Promise<any[]> {
  return new Promise((resolve, reject) => {
    const returned = work((...outcome) => resolve(outcome));
    const { then } = (returned ?? {}) as Partial<PromiseLike<unknown>>;
    if (typeof then === "function")
      then.call(returned, () => void (takesNext || resolve([])), reject);
  });
}

/**
 * Pass the outcome of a promise to a callback, if one was given.
 * @param failed what the callback gets for a failure, which is in the log then: these callbacks have no place for errors
 * @returns the promise; with a callback it does not reject
 */
export function passOn<T, F>(
  outcome: Promise<T>,
  next: ((value: any) => void) | undefined,
  failed: F,
): Promise<T | F> {
  const logged = logFailure(outcome);
  if (typeof next !== "function") return logged;
  return logged
    .catch(() => failed)
    .then((value) => {
      next(value);
      return value;
    });
}

/**
 * Code of version 3 does not wait for what has no callback: its failures are in the log, and must not end the process.
 * @returns the same promise, for code that does wait
 */
export function logFailure<T>(outcome: Promise<T>): Promise<T> {
  outcome.catch((error: unknown) =>
    log(`a call of the style of version 3 failed: ${String(error)}`, "error"),
  );
  return outcome;
}

// --- A connection as the actions of version 3 know it.

/** The connection itself, with the params, response and error of one request. */
export type LegacyConnection = Connection & {
  params: { [name: string]: any };
  response: { [name: string]: any };
  error: any;
  /** Its chat room, or the first of several. */
  readonly room: string | undefined;
  /** HTTP: pairs of names and values to add to. */
  responseHeaders?: [string, any][];
  /** HTTP. */
  responseHttpCode?: number | string;
};

/** The fields that belong to the request in HTTP. */
const OF_THE_REQUEST = ["responseHeaders", "responseHttpCode"];

/**
 * Requests of one connection run side by side, so each has its own params, response and error; all else is read from and
 * written to the connection.
 */
function legacyConnection(
  data: Pick<ActionProcessor, "connection" | "params">,
): LegacyConnection {
  const { connection, params } = data;
  const own: Record<string | symbol, unknown> = {
    params: { ...(params as object) }, // those of today are frozen
    response: {},
    error: null,
  };
  const holderOf = (name: string | symbol): object => {
    if (Object.hasOwn(own, name)) return own;
    const rawConnection: unknown = connection.rawConnection;
    return OF_THE_REQUEST.includes(String(name)) && isObject(rawConnection)
      ? rawConnection
      : connection;
  };
  return new Proxy(connection as LegacyConnection, {
    get(_target, name) {
      if (name === "room") return connection.rooms[0];
      const holder = holderOf(name);
      const value = Reflect.get(holder, name) as unknown;
      // methods compare the connection with what is registered
      return holder === connection && typeof value === "function"
        ? (value.bind(connection) as unknown)
        : value;
    },
    set: (_target, name, value) => Reflect.set(holderOf(name), name, value),
  });
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
