/** The loggers of `config.logger` and `log`, which writes to all of them. */
import type * as winston from "winston";
import { config } from "../config/config";
import type {
  ActionheroLogLevel,
  ActionheroConfigInterface,
} from "../config/types";
import { settings } from "../config/settings";
import { cutText, plainText } from "./escape";
import { isRedacting, redactFields } from "./filters";
import {
  asText,
  type BufferedTransport,
  isOwnTransport,
  lineMakerOf,
  loggerTools,
  type LoggerTools,
  type LogStyle,
  STYLES,
  stylesOf,
} from "./loggerTools";
import { currentWork, withRequestId } from "./currentWork";

export type { ActionheroLogLevel };

type LoggerBuilder = (
  config: ActionheroConfigInterface,
  tools: LoggerTools,
) => winston.Logger | winston.LoggerOptions;

/** One winston logger per entry of `config.logger.loggers`; built when the package is loaded. */
export const loggers: winston.Logger[] = buildLoggers();

/**
 * Write to every logger that takes the level.
 * @param severity default `"info"`; a level that a logger does not know counts as `"info"` there. A style, or a list of
 * them, is the level `"info"`, and shown so at a terminal
 * @param data an object whose properties join the line (anything else is left out)
 */
export function log(
  message: string,
  severity:
    | ActionheroLogLevel
    | LogStyle
    | (string & {})
    | readonly LogStyle[] = "info",
  data?: any,
): void {
  if (typeof message === "string") message = cutText(message);
  else [message, data] = readableMessage(message, data);
  writeToAll({ message, severity, isEscaped: false }, data);
}

/** Log a line of the framework's own, in which nothing has to be escaped or cut. */
export function logEscaped(
  message: string,
  severity: ActionheroLogLevel,
  data: object,
): void {
  writeToAll({ message, severity, isEscaped: true }, data);
}

interface Entry {
  message: string;
  severity: unknown;
  isEscaped: boolean;
}

function writeToAll(
  { message, severity, isEscaped }: Entry,
  data: unknown,
): void {
  let isComplete = false;
  for (const logger of loggers) {
    const level = levelOf(logger, severity);
    const own = ownTransportsOf(logger);
    if (!isEnabled(logger, level, own)) continue;
    if (!isComplete) data = readableFields(data);
    isComplete = true;
    const styles = level === severity ? undefined : stylesOf(severity);
    const line: Line = { level, message, styles, isEscaped, own };
    try {
      write(logger, line, data);
    } catch (error) {
      // a getter may throw at any reading: the next fields have none
      write(logger, line, unreadable(error));
    }
  }
}

/**
 * A message that is not a text, such as a caught error: where values are redacted, it becomes one, because its properties
 * would be fields without redaction. An error adds its stack to the fields.
 */
function readableMessage(message: unknown, data: unknown): [string, unknown] {
  if (!isRedacting()) return [message as string, data];
  try {
    if (!(message instanceof Error)) {
      const shown = redactFields({ message }) as { message: unknown };
      return [cutText(asText(shown.message)), data];
    }
    const { stack } = message;
    const fields = typeof data === "object" ? data : undefined;
    return [cutText(plainText(message)), { stack, ...fields }];
  } catch (error) {
    return [unreadable(error).unprintable, data]; // a getter that throws
  }
}

/** As `completeFields`: log lines are often written where an error is handled, so they must not throw one. */
function readableFields(data: unknown): unknown {
  try {
    return completeFields(data);
  } catch (error) {
    return completeFields(unreadable(error));
  }
}

/** The fields of a line whose own cannot be read. */
function unreadable(error: unknown): { unprintable: string } {
  return { unprintable: `cannot be shown: ${plainText(error)}` };
}

/** Adds the id of the work to the fields, and hides the paths of `config.logger.redact`. */
function completeFields(data: unknown): unknown {
  const requestId = currentWork.id?.();
  const fields =
    requestId === undefined ? data : withRequestId(data, requestId);
  return redactFields(fields);
}

interface Line {
  level: string;
  message: string;
  styles: readonly LogStyle[] | undefined;
  isEscaped: boolean;
  own: BufferedTransport[] | undefined;
}

function write(
  logger: winston.Logger,
  { level, message, styles, isEscaped, own }: Line,
  data: unknown,
): void {
  if (styles) {
    const fields = typeof data === "object" ? data : undefined;
    logger.log({ ...fields, level, message, [STYLES]: styles });
  } else if (typeof data === "object" && data !== null) {
    if (!own || !writeTo(own, logger, { level, message, isEscaped }, data))
      logger.log(level, message, data);
  } else logger.log(level, message);
}

/** Whether any logger takes this level; check it before building expensive data. */
export function willLog(severity: ActionheroLogLevel): boolean {
  for (const logger of loggers) {
    const level = levelOf(logger, severity);
    if (isEnabled(logger, level, ownTransportsOf(logger))) return true;
  }
  return false;
}

/** As winston has it: transports without a level of their own have that of the logger. */
function isEnabled(
  logger: winston.Logger,
  level: string,
  own: BufferedTransport[] | undefined,
): boolean {
  if (!own || Object.hasOwn(logger, "isLevelEnabled"))
    return logger.isLevelEnabled(level);
  const { levels } = logger;
  return levels[logger.level]! >= levels[level]!;
}

/** The severity, if the logger knows it. */
function levelOf(logger: winston.Logger, severity: unknown): string {
  return typeof severity === "string" && logger.levels[severity] !== undefined
    ? severity
    : "info";
}

/** The levels of the framework and of all loggers; empty without loggers. */
export function knownLevels(): string[] {
  if (loggers.length === 0) return [];
  const all = [loggerTools, ...loggers].map(({ levels }) => levels);
  return [...new Set(all.flatMap((levels) => Object.keys(levels)))];
}

/** One for each entry of the configuration. */
export function buildLoggers(): winston.Logger[] {
  const builders = settings().logger.loggers as LoggerBuilder[];
  return builders.map((build) => {
    const built = build(config, loggerTools);
    return withKnownLevel(isLogger(built) ? built : createLogger(built));
  });
}

/** Loads winston, which a process without loggers does not need. */
function createLogger(options: winston.LoggerOptions): winston.Logger {
  return (require("winston") as typeof winston).createLogger(options);
}

/** A level that the logger does not know, such as a misspelt `LOG_LEVEL`, would silence it: it becomes `info`. */
function withKnownLevel(logger: winston.Logger): winston.Logger {
  const { level, levels } = logger;
  if (level === undefined || levels[level] !== undefined) return logger;
  logger.level = "info";
  logger.log(
    "warning" in levels ? "warning" : "warn",
    `there is no log level \`${level}\`: \`info\` is used. The levels are ${Object.keys(levels).join(", ")}`,
  );
  return logger;
}

function isLogger(
  built: winston.Logger | winston.LoggerOptions,
): built is winston.Logger {
  return typeof (built as winston.Logger).log === "function";
}

// --- Bypasses winston's streams, for loggers that only use our own transports.

import type Transport = require("winston-transport");

/** winston's well-known symbols (https://github.com/winstonjs/triple-beam). */
const LEVEL = Symbol.for("level");
const SPLAT = Symbol.for("splat");

type Info = winston.Logform.TransformableInfo;

interface DirectLine {
  level: string;
  message: string;
  /** Nothing in the message and the data has to be escaped or cut (default false). */
  isEscaped?: boolean;
}

/**
 * Does what `logger.log(level, message, data)` does, without winston's two streams, which cost more than the line
 * itself (bench/http.ts).
 * @returns false if the logger has additions that only winston can handle; then nothing is written
 */
export function writeDirectly(
  logger: winston.Logger,
  line: DirectLine,
  data: object,
): boolean {
  const own = ownTransportsOf(logger);
  return own !== undefined && writeTo(own, logger, line, data);
}

function writeTo(
  own: readonly BufferedTransport[],
  { format }: winston.Logger,
  { level, message, isEscaped = false }: DirectLine,
  data: object,
): boolean {
  // winston also takes a message that is not a text
  if (typeof message !== "string" || message.includes("%")) return false;
  if ((data as { message?: unknown }).message) return false; // winston joins the two texts

  const toLine = lineMakerOf(format);
  if (toLine) {
    const line = toLine({ level, message, fields: data, isEscaped });
    for (const transport of own) transport.take(line);
    return true;
  }
  const info: Info = Object.assign({}, data, { level, message });
  info[LEVEL] = level;
  info[SPLAT] = [data];
  const formatted = format.transform(info, format.options);
  if (!formatted || typeof formatted !== "object") return true; // the format decided to drop it
  for (const transport of own) transport.log!(formatted, noop);
  return true;
}

/**
 * The transports of a logger whose methods are not replaced, which has no listeners, and only our own transports and
 * settings. winston makes two lists whenever it is asked for them.
 */
function ownTransportsOf(
  logger: winston.Logger,
): BufferedTransport[] | undefined {
  if (logger.silent || logger.defaultMeta || Object.hasOwn(logger, "log"))
    return undefined;
  const transports = logger.transports as Transport[];
  for (const transport of transports)
    if (!isUnchanged(transport)) return undefined;
  // each transport is one listener
  const isPlain =
    transports.length > 0 &&
    logger.listenerCount("data") === transports.length &&
    logger.writableLength === 0;
  return isPlain ? (transports as BufferedTransport[]) : undefined;
}

function isUnchanged(transport: Transport): boolean {
  if (!isOwnTransport(transport) || Object.hasOwn(transport, "log"))
    return false;
  return !transport.level && !transport.format && !transport.silent;
}

function noop(): void {}
