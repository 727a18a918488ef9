/** The list of error reporters, the log reporter first. */
import { api } from "../api";
import { settings } from "../config/settings";
import {
  explainBootError,
  markExplained,
  wantsStacks,
  wasExplained,
} from "../environment/bootErrors";
import { ownFields } from "../errors";
import { escapeControls, escapeFields } from "./escape";
import { log, loggers, type ActionheroLogLevel } from "./log";
import { isCommandRunning } from "./sinks";

/** Called with every error that the framework catches. */
export type ExceptionReporter = (
  error: NodeJS.ErrnoException,
  type: string,
  name: string,
  objects?: any,
  severity?: ActionheroLogLevel,
) => void;

/** The details that are reported with an action's error. */
export interface ActionErrorDetails {
  to?: unknown;
  action?: unknown;
  params?: unknown;
  duration?: unknown;
  response?: unknown;
  [key: string]: unknown;
}

export interface ExceptionHandlerAPI {
  reporters: ExceptionReporter[];
  report(
    error: NodeJS.ErrnoException,
    type: string,
    name: string,
    objects?: any,
    severity?: ActionheroLogLevel,
  ): void;
  initializer(error: NodeJS.ErrnoException, fullFilePath: string): void;
  action(error: NodeJS.ErrnoException, details: ActionErrorDetails): void;
  task(
    error: NodeJS.ErrnoException,
    queue: string,
    task: any,
    workerId: string | number,
  ): void;
}

declare module "../api" {
  interface Api {
    exceptionHandlers: ExceptionHandlerAPI;
  }
}

/** The object behind `api.exceptionHandlers`; users push reporters of their own. */
export function createExceptionHandlers(): ExceptionHandlerAPI {
  const handlers: ExceptionHandlerAPI = {
    reporters: [consoleReporter],

    report(error, type, name, objects, severity = "error") {
      for (const reporter of handlers.reporters) {
        reporter(error, type, name, objects, severity);
      }
    },

    initializer(error, fullFilePath) {
      const name = `initializer:${fullFilePath}`;
      handlers.report(error, "initializer", name, { fullFilePath }, "alert");
    },

    action(error, { to, action, params, duration, response }) {
      const objects = { to, action, params, duration, error, response };
      const name = `action: ${String(action)}`;
      handlers.report(error, "action", name, objects, "alert");
    },

    task(error, queue, task, workerId) {
      const taskClass = (task as { class?: string } | undefined)?.class;
      const name = taskClass ? `task:${taskClass}` : error.message;
      const { failure = "error" } = settings().tasks.workerLogging;
      const objects = { task: task as unknown, queue, workerId };
      handlers.report(error, "task", name, objects, failure);
    },
  };
  return handlers;
}

/** Errors that ended a boot are reported where they occurred, and appear again as a rejection. */
const reported = new WeakSet<object>();

/** Whether `reportError` has already received this error. */
export function wasReported(error: object): boolean {
  return reported.has(error);
}

/** Report through the handlers, or on the console if there is no handler. */
export function reportError(
  error: NodeJS.ErrnoException,
  type: string,
  name: string,
  severity: ActionheroLogLevel = "error",
): void {
  reported.add(error);
  const handlers = api.exceptionHandlers as ExceptionHandlerAPI | undefined;
  if (handlers) handlers.report(error, type, name, {}, severity);
  else if (isExplaining(type)) explain(error);
  else console.error(error);
}

/** Errors of these types stop the process. */
const ENDING_TYPES = new Set(["initializer", "uncaught"]);

/** Writes errors to the log; those of actions are already in the action's own line. */
const consoleReporter: ExceptionReporter = (
  error,
  type,
  name,
  objects,
  severity,
) => {
  if (type === "action") return;
  if (isExplaining(type)) return explain(error);
  const data = ((error as { data?: object } | null)?.data ?? {}) as Record<
    string,
    unknown
  >;
  const message = escapeControls(describe(data, error, type, name, objects));
  data.stack = error?.stack ?? error?.message ?? String(error);
  // a broken configuration may leave no logger, but a fatal error must be visible
  if (loggers.length === 0 && ENDING_TYPES.has(type)) {
    console.error(message, data.stack);
    return;
  }
  try {
    log(message, severity, escapeFields(data));
  } catch {
    console.log(message, data);
  }
};

/** With `general.explainBootErrors`; the stack is shown only for debugging. */
function isExplaining(type: string): boolean {
  return (
    type === "initializer" &&
    settings().general.explainBootErrors &&
    !wantsStacks()
  );
}

/** Printed once: an action that fails to load is reported by the loader, and again as the end of the boot. */
function explain(error: NodeJS.ErrnoException): void {
  if (wasExplained(error)) return;
  markExplained(error);
  const lines = explainBootError(error).map(escapeControls);
  // the errors of a command are on stderr
  if (isCommandRunning() || loggers.length === 0)
    console.error(lines.join("\n"));
  else for (const line of lines) log(line, "error");
}

/** The text of the line; further facts are added to `data`. */
function describe(
  data: Record<string, unknown>,
  error: NodeJS.ErrnoException,
  type: string,
  name: string,
  objects: any,
): string {
  if (type === "uncaught") return `Uncaught ${name}`;
  if (type === "initializer") return "Error from Initializer";
  if (type === "task") {
    const { task, queue, workerId } = objects as Record<string, any>;
    const input: unknown = (task as { args?: unknown[] } | undefined)
      ?.args?.[0];
    data.name = name;
    data.queue = queue;
    data.worker = workerId;
    data.arguments = input === undefined ? undefined : JSON.stringify(input);
    return "Error from Task";
  }
  Object.assign(data, ownFields(error, "message", "stack"));
  data.type = type;
  data.name = name;
  data.data = objects;
  return `Error: ${error?.message ?? String(error)}`;
}
