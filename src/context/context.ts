/**
 * The context of the current work: one per request, message, job and in-line call, propagated across its awaits.
 * Disabled without `general.context`.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Connection } from "../connection/connection";
import { log, type ActionheroLogLevel } from "../log/log";
import { currentWork } from "../log/currentWork";
import { randomId } from "../utils/ids";
import { withFields } from "../utils/objects";

/** One method per level; the lines have the id of the context, wherever they are written. */
export type ContextLogger = {
  readonly [Level in ActionheroLogLevel]: (
    message: string,
    data?: object,
  ) => void;
};

/** The parts of a context. */
export interface Work {
  /** Default: a new UUID. */
  id?: string;
  connection?: Connection;
  task?: string;
}

const LEVELS: readonly ActionheroLogLevel[] = [
  "emerg",
  "alert",
  "crit",
  "error",
  "warning",
  "notice",
  "info",
  "debug",
];

/** The context of one piece of work. */
export class WorkContext {
  /** Shared by everything that one request causes; log lines have it as `requestId`. */
  readonly id: string;
  /** The client's connection; undefined in a job. */
  connection: Connection | undefined;
  /** The name of the action, once it is known. */
  action: string | undefined;
  /** The name of the task that a job runs. */
  readonly task: string | undefined;
  private kept: ContextLogger | undefined;

  constructor({ id, connection, task }: Work) {
    this.id = id ?? randomId();
    this.connection = connection;
    this.action = undefined;
    this.task = task;
    this.kept = undefined;
  }

  /** `connection.session`: what middleware and actions keep about the client. */
  get session(): Connection["session"] | undefined {
    return this.connection?.session;
  }

  /** Logs for this work, also from places that its context does not reach, such as listeners of an older socket. */
  get logger(): ContextLogger {
    return (this.kept ??= loggerOf(this));
  }
}

const KEY = Symbol.for("actionhero.context");

/** On `globalThis`, so that a plugin with its own copy of the package sees the same context. */
const host = globalThis as {
  [KEY]?: { storage?: AsyncLocalStorage<WorkContext> };
};
const state = (host[KEY] ??= {});

/** Begin to keep contexts, or stop doing so; decided when a process is initialized. */
export function switchContext(isOn: boolean): void {
  if (isOn === isContextOn()) return;
  const storage = isOn ? new AsyncLocalStorage<WorkContext>() : undefined;
  state.storage = storage;
  currentWork.id = storage && (() => storage.getStore()?.id);
  currentWork.begin = storage && ((id, run) => beginContext({ id }, run));
}

/** Check this before building data that only a context needs. */
export function isContextOn(): boolean {
  return state.storage !== undefined;
}

/** The context of the work that the caller belongs to; undefined outside of any, and without `general.context`. */
export function context(): WorkContext | undefined {
  return state.storage?.getStore();
}

/** Run work of an external request, in a new context. */
export function beginContext<T>(work: Work, run: () => T): T {
  return state.storage ? state.storage.run(new WorkContext(work), run) : run();
}

/**
 * Run a part of the current work, with its id and a separate connection or task; outside of any context, create one.
 */
export function continueContext<T>(work: Work, run: () => T): T {
  if (!state.storage) return run();
  const now = context();
  const { connection } = work;
  if (connection !== undefined && connection === now?.connection) return run();
  return beginContext(withFields(work, { id: now?.id }), run);
}

/** The connection of a request is there: its context has begun before it. */
export function joinContext(connection: Connection): void {
  const now = context();
  if (now && now.task === undefined) now.connection ??= connection;
}

/** The action that a connection asked for is found. */
export function nameAction(connection: Connection, action: string): void {
  const now = context();
  if (now && now.connection === connection) now.action = action;
}

function loggerOf(work: WorkContext): ContextLogger {
  const entries = LEVELS.map((level) => [
    level,
    (message: string, data?: object) => {
      const write = () => log(message, level, data);
      if (state.storage) state.storage.run(work, write);
      else write();
    },
  ]);
  return Object.freeze(Object.fromEntries(entries)) as ContextLogger;
}
