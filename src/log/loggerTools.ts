/** The formats and transports that the default loggers are built from, handed to every logger builder. */
import type { ActionheroLogLevel } from "../config/types";
import type * as winston from "winston";
import { withFields } from "../utils/objects";
import {
  cutText,
  errorsInJson,
  escapeField,
  escapeJson,
  quoteField,
  jsonForLogging,
  plainText,
} from "./escape";
import {
  BufferedOutput,
  consoleHasColors,
  consoleSink,
  fileSink,
  isCommandRunning,
} from "./sinks";

import type Transport = require("winston-transport");

type LogInfo = winston.Logform.TransformableInfo;

/** winston's well-known symbol under which a finished line is kept (https://github.com/winstonjs/triple-beam). */
const MESSAGE = Symbol.for("message");

/** How much of an object a line on the console shows, in characters. */
const MAX_OBJECT_LENGTH = 1_000;

/** The longest JSON line; a longer one is encoded again with truncated strings. */
const MAX_JSON_LINE_LENGTH = 512 * 1024;

/** The length of these strings, in characters. */
const CUT_LENGTH = 1_000;

/** Terminal colours by syslog level. */
const COLORS: Record<string, number> = {
  emerg: 31,
  alert: 33,
  crit: 31,
  error: 31,
  warning: 31,
  notice: 33,
  info: 32,
  debug: 34,
};

interface ConsoleOptions {
  /** Put values with spaces, quotes or `=` in quotation marks, as JSON (default false). */
  quote?: boolean;
}

/** Handed to each builder in `config.logger.loggers` as its second argument. */
export interface LoggerTools {
  /** The levels of syslog, which the framework logs with. */
  levels: Record<ActionheroLogLevel, number>;
  /** `<ISO time> - <level>: <message> <key=value ...>`, the level coloured at a terminal. */
  consoleFormat: (options?: ConsoleOptions) => winston.Logform.Format;
  /** One JSON document per line, with `timestamp` and the given fields. */
  jsonFormat: (fields?: { [name: string]: string }) => winston.Logform.Format;
  /** Lines to stdout, collected into few asynchronous writes and flushed on exit. */
  ConsoleTransport: new () => Transport;
  /** Lines to a file, collected as those to stdout; its folder is created when needed. */
  FileTransport: new (options: FileTransportOptions) => Transport;
}

interface FileTransportOptions {
  filename: string;
  /** Whether the lines of commands are written, too, and not only those of servers (default true). */
  commands?: boolean;
}

const outputs = new Set<BufferedOutput>();

/** Loaded with the first logger: its streams take a tenth of a start (bench/boot.ts). */
function loadTransport(): typeof Transport {
  return require("winston-transport") as typeof Transport;
}

/** A transport that collects lines. */
export interface BufferedTransport extends Transport {
  /** @param line without its end */
  take(line: string): void;
}

function defineTransports(Base: typeof Transport) {
  class Buffered extends Base implements BufferedTransport {
    constructor(private readonly output: BufferedOutput) {
      super();
      outputs.add(output);
    }

    override log(info: LogInfo, next: () => void): void {
      this.take(String(info[MESSAGE]));
      next();
    }

    take(line: string): void {
      this.output.push(`${line}\n`);
    }

    override close(): void {
      void this.output.flush().finally(() => outputs.delete(this.output));
    }
  }

  class ConsoleTransport extends Buffered {
    constructor() {
      super(new BufferedOutput(consoleSink));
    }
  }

  class FileTransport extends Buffered {
    private readonly takesCommands: boolean;

    constructor({ filename, commands = true }: FileTransportOptions) {
      super(new BufferedOutput(fileSink(filename)));
      this.takesCommands = commands;
    }

    override take(line: string): void {
      if (this.takesCommands || !isCommandRunning()) super.take(line);
    }
  }

  // eslint-disable-next-line @typescript-eslint/unbound-method -- only compared, never called
  const { log } = Buffered.prototype;
  return { Buffered, ConsoleTransport, FileTransport, log };
}

let defined: ReturnType<typeof defineTransports> | undefined;

function transports() {
  return (defined ??= defineTransports(loadTransport()));
}

/** Whether a transport does no more than to collect lines. */
export function isOwnTransport(
  transport: Transport,
): transport is BufferedTransport {
  return (
    defined !== undefined &&
    transport instanceof defined.Buffered &&
    transport.log === defined.log
  );
}

export const loggerTools: LoggerTools = {
  levels: {
    emerg: 0,
    alert: 1,
    crit: 2,
    error: 3,
    warning: 4,
    notice: 5,
    info: 6,
    debug: 7,
  },
  consoleFormat: ({ quote = false } = {}) =>
    lineFormat((entry) => toConsoleLine(entry, quote)),
  jsonFormat: (fields) => {
    const extra = fields && { ...fields };
    return lineFormat((entry) => toJsonLine(entry, extra));
  },
  get ConsoleTransport() {
    return transports().ConsoleTransport;
  },
  get FileTransport() {
    return transports().FileTransport;
  },
};

/** Resolves when every line logged so far through our own transports is written. */
export async function flushLogs(): Promise<void> {
  await Promise.all([...outputs].map((output) => output.flush()));
}

/** The parts of a line. */
export interface LogEntry {
  level: string;
  message: string;
  /** They may include the level and the message, which are then not read. */
  fields: object;
  /** The message and all fields are flat, and nothing in them has to be escaped or cut. */
  isEscaped: boolean;
}

/** Makes a finished line. */
type ToLine = (entry: LogEntry) => string;

/** The formatting function behind a format, for callers that need only the line. */
const lineMakers = new WeakMap<object, ToLine>();

export function lineMakerOf(format: object): ToLine | undefined {
  return lineMakers.get(format);
}

function lineFormat(toLine: ToLine): winston.Logform.Format {
  const { format: define } = require("winston") as typeof winston;
  const format = define((info) => {
    const { level, message } = info as LogInfo & { message: string };
    info[MESSAGE] = toLine({ level, message, fields: info, isEscaped: false });
    return info;
  })();
  lineMakers.set(format, toLine);
  return format;
}

function toConsoleLine(
  { level, message, fields, isEscaped }: LogEntry,
  quote: boolean,
): string {
  const info = fields as LogInfo;
  const color = consoleHasColors() ? COLORS[level] : undefined;
  const shownLevel =
    color === undefined ? level : `\u001b[${color}m${level}\u001b[39m`;
  const styles = consoleHasColors()
    ? (info[STYLES] as LogStyle[] | undefined)
    : undefined;
  const text = isEscaped ? message : cutText(asText(message));
  const shownText = styles ? inStyles(text, styles) : text;
  return `${timestamp()} - ${shownLevel}: ${shownText} ${fieldsText(info, quote, isEscaped)}`;
}

/** The fields as `key=value `, without empty ones. */
function fieldsText(info: LogInfo, quote: boolean, isEscaped: boolean): string {
  let text = "";
  for (const key in info) {
    if (key === "message" || key === "level" || key === "timestamp") continue;
    const value = info[key];
    if (value === undefined || value === null || value === "") continue;
    const shownText = asText(value);
    const shown = isEscaped ? shownText : escapeField(key, shownText);
    const isQuoted = quote && /[\s"=]/.test(shown);
    text += `${key}=${isQuoted ? quoteField(key, shown) : shown} `;
  }
  return text;
}

function toJsonLine(
  entry: LogEntry,
  extra: { [name: string]: string } | undefined,
): string {
  const { fields, level, message, isEscaped } = entry;
  if (isEscaped) {
    const line = flatJsonLine(entry, extra);
    if (line !== undefined) return line;
  }
  const info: LogInfo = withFields(fields, { level, message });
  if (extra) Object.assign(info, extra);
  info.timestamp ??= timestamp();
  if (info.error === "") info.error = undefined; // an action without an error, as on the console
  try {
    const json = JSON.stringify(info, errorsInJson());
    const line = isEscaped ? json : escapeJson(json);
    return line.length > MAX_JSON_LINE_LENGTH ? toShortLine(info, line) : line;
  } catch (error) {
    return unprintable(info, String(error));
  }
}

/** Fields with one of these names would be replaced, or come earlier. */
const RESERVED = ["level", "message", "timestamp"];

/**
 * The JSON line of flat fields, put together from its parts, most of which are those of the line before: this takes a
 * third of the time of copying and encoding an object.
 * @returns undefined for fields, or a length, that need more
 */
function flatJsonLine(
  { fields, level, message }: LogEntry,
  extra: { [name: string]: string } | undefined,
): string | undefined {
  let text = "{";
  for (const name in fields) {
    if (RESERVED.includes(name) || (extra && Object.hasOwn(extra, name)))
      return undefined;
    const value = (fields as Record<string, unknown>)[name];
    // an empty error: an action without one, as on the console
    if (value !== undefined && !(value === "" && name === "error"))
      text += pairOf(name, value);
  }
  text += pairOf("level", level) + pairOf("message", message);
  for (const name in extra) {
    if (RESERVED.includes(name)) return undefined;
    text += pairOf(name, extra[name]);
  }
  text += `"timestamp":"${timestamp()}"}`;
  return text.length > MAX_JSON_LINE_LENGTH ? undefined : text;
}

/** A name, and the last text that it had, as JSON. */
interface Pair {
  name: string;
  value: string | undefined;
  json: string;
}

const lastPairs = new Map<string, Pair>();
const MAX_PAIRS = 64;
const MAX_KEPT_LENGTH = 256;
/** The short fields, such as the `requestId`, of a line that cannot be shown as it is. */
const MAX_KEPT_FIELDS = 32;

/** `"name":"value",` */
function pairOf(name: string, value: unknown): string {
  const last = lastPairs.get(name) ?? newPair(name);
  if (typeof value !== "string")
    return `${last.name}:${JSON.stringify(value)},`;
  if (last.value === value) return last.json;
  const json = `${last.name}:${JSON.stringify(value)},`;
  if (value.length <= MAX_KEPT_LENGTH) {
    last.value = value;
    last.json = json;
  }
  return json;
}

function newPair(name: string): Pair {
  const pair: Pair = { name: JSON.stringify(name), value: undefined, json: "" };
  if (lastPairs.size < MAX_PAIRS) lastPairs.set(name, pair);
  return pair;
}

function toShortLine(info: LogInfo, line: string): string {
  const showErrors = errorsInJson();
  const shorter = JSON.stringify(info, (key, value: unknown) =>
    typeof value === "string"
      ? cutText(value, CUT_LENGTH)
      : showErrors(key, value),
  );
  return shorter.length > MAX_JSON_LINE_LENGTH
    ? unprintable(info, `${line.length} characters`)
    : escapeJson(shorter);
}

/** The line without its long fields, one of which could not be encoded; of errors, with what tells where they come from. */
function unprintable(info: LogInfo, why: string): string {
  const kept = Object.entries(info)
    .map(([name, value]) => [name, shortOf(name, value)] as const)
    .filter(([name, value]) => isShort(name) && value !== undefined)
    .slice(0, MAX_KEPT_FIELDS);
  return escapeJson(
    JSON.stringify({
      ...Object.fromEntries(kept),
      level: info.level,
      message: cutText(asText(info.message), CUT_LENGTH),
      timestamp: info.timestamp,
      unprintable: `cannot be shown: ${why}`,
    }),
  );
}

/** @returns undefined for a field that is left out */
function shortOf(field: string, value: unknown): unknown {
  if (isShort(value)) return value;
  if (field === "stack" && typeof value === "string")
    return cutText(value, CUT_LENGTH);
  const { name, message, stack } = Object(value) as Partial<Error>;
  if (typeof stack !== "string" || typeof message !== "string")
    return undefined;
  return {
    name: cutText(String(name), MAX_KEPT_LENGTH),
    message: cutText(message, MAX_KEPT_LENGTH),
    stack: cutText(stack, CUT_LENGTH),
  };
}

function isShort(value: unknown): boolean {
  if (typeof value === "string") return value.length <= MAX_KEPT_LENGTH;
  return typeof value === "number" || typeof value === "boolean";
}

/** JSON for objects that have no text of their own; cut, as results of tasks may be large. */
export function asText(value: unknown): string {
  const text = plainText(value);
  if (typeof value !== "object" || !text.includes("[object ")) return text;
  const json = jsonForLogging(value, undefined, errorsInJson()) ?? text;
  return json.length > MAX_OBJECT_LENGTH
    ? `${json.slice(0, MAX_OBJECT_LENGTH)}...`
    : json;
}

let lastMs = 0;
let lastSecond = 0;
let untilMs = "";
let lastTimestamp = "";

/** The ISO time, built once per millisecond, and as a date once per second: many lines share them. */
function timestamp(): string {
  const now = Date.now();
  if (now === lastMs) return lastTimestamp;
  lastMs = now;
  const second = Math.floor(now / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    untilMs = new Date(now).toISOString().slice(0, -4);
  }
  const ms = String(now % 1000).padStart(3, "0");
  return (lastTimestamp = `${untilMs}${ms}Z`);
}

// --- Styles that `log` takes in place of a level, as version 3 had them; they are seen at a terminal only.

/** The codes that switch each style on and off. */
const CODES = {
  bold: [1, 22],
  italic: [3, 23],
  underline: [4, 24],
  inverse: [7, 27],
  black: [30, 39],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
  white: [37, 39],
  grey: [90, 39],
} as const satisfies Record<string, readonly [on: number, off: number]>;

type PlainStyle = keyof typeof CODES;

/** Different for each character. */
const BY_CHARACTER = {
  rainbow: (character: string, index: number) =>
    plain(character, RAINBOW[index % RAINBOW.length]!),
  zebra: (character: string, index: number) =>
    index % 2 === 0 ? character : plain(character, "inverse"),
  zalgo: (character: string, index: number) =>
    character + MARKS[index % MARKS.length]!,
};

const RAINBOW: PlainStyle[] = ["red", "yellow", "green", "blue", "magenta"];

/** Combining characters, above and below. */
const MARKS = ["\u030d\u0316", "\u0315", "\u033f\u0323", "\u0489", "\u0334"];

export type LogStyle = PlainStyle | keyof typeof BY_CHARACTER;

/** Where a line keeps its styles: a symbol, so that no format writes it down as data. */
export const STYLES = Symbol("styles");

/** The styles that a severity names; undefined for a level. */
export function stylesOf(severity: unknown): LogStyle[] | undefined {
  const names: unknown[] = Array.isArray(severity) ? severity : [severity];
  const styles = names.filter(isStyle);
  return styles.length > 0 ? styles : undefined;
}

/** A text in all of the styles. */
export function inStyles(text: string, styles: readonly LogStyle[]): string {
  // styles per character come first: applied later, they would also style the escape codes of the others
  const each = styles.filter(isByCharacter);
  const styled = [...text].map((character, index) =>
    each.reduce((shown, style) => BY_CHARACTER[style](shown, index), character),
  );
  return styles
    .filter((style) => !isByCharacter(style))
    .reduce((shown, style) => plain(shown, style), styled.join(""));
}

function plain(text: string, style: PlainStyle): string {
  const [on, off] = CODES[style];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}

function isStyle(name: unknown): name is LogStyle {
  return (
    typeof name === "string" &&
    (Object.hasOwn(CODES, name) || Object.hasOwn(BY_CHARACTER, name))
  );
}

function isByCharacter(style: LogStyle): style is keyof typeof BY_CHARACTER {
  return Object.hasOwn(BY_CHARACTER, style);
}
