/** Copies of params and responses that are safe and short enough for a log line. */
import { settings } from "../config/settings";
import { hasPath, isPlainObject, replacePath } from "../utils/objects";
import { escapeControls, jsonForLogging, propertiesOf } from "./escape";

/** The maximum length of the params in a log line, in characters: a client sends many with few bytes. */
const MAX_PARAMS_LENGTH = 8 * 1024;

type Hash = Record<string, unknown>;
/** Dotted paths, or a function that returns them. */
type PathList = string[] | (() => string[]) | undefined;

/**
 * Params with long values cut, and what the paths of `config.general.filteredParams` name (`*`, `**`: see `redact`)
 * replaced by `[FILTERED]`.
 */
export function filterObjectForLogging(params: object): {
  [key: string]: any; // v29's type: callers read into it
} {
  return filter(params as Hash, paramPaths(), (value) => value);
}

/** A response for the log, without the paths of `config.general.filteredResponse`; errors become their message. */
export function filterResponseForLogging(response: object): {
  [key: string]: any;
} {
  const paths = settings().general.filteredResponse as PathList;
  return filter(response as Hash, paths, (value) =>
    value instanceof Error ? value.message : value,
  );
}

/** Any value, not truncated, without the values at the paths of `config.general.filteredParams`. */
export function redactForLogging(value: unknown): unknown {
  const paths = pathsOf(paramPaths());
  if (paths.length === 0 || typeof value !== "object" || value === null)
    return value;
  return redact(value, paths);
}

/** Whether any param is hidden from log lines. */
export function isFiltering(): boolean {
  return pathsOf(paramPaths()).length > 0;
}

/** Whether `config.logger.redact` names anything. */
export function isRedacting(): boolean {
  return pathsOf(settings().logger.redact).length > 0;
}

/** The fields of a log line without the values at the paths of `config.logger.redact`; an error stays an error. */
export function redactFields(fields: unknown): unknown {
  if (typeof fields !== "object" || fields === null) return fields;
  const paths = pathsOf(settings().logger.redact);
  if (paths.length === 0) return fields;
  if (Object.getPrototypeOf(fields) === Object.prototype)
    return redact(fields, paths);
  // winston takes the own properties, not what an inherited `toJSON` returns, and the cause of an error
  const source: Hash = { ...fields };
  const { cause } = fields as { cause?: unknown };
  if (cause !== undefined) source.cause = cause;
  const shown = redact(source, paths);
  return shown === source ? fields : withProperties(fields, shown as object);
}

/** One value of a client as text: cut, and an object without the values that `config.general.filteredParams` names. */
export function textForLogging(value: unknown): string | null | undefined {
  if (value === undefined || value === null) return value;
  const { maxLogStringLength: max } = settings().logger;
  if (typeof value === "string") return escapeControls(value.slice(0, max));
  const shown = isPlainObject(value) ? filterObjectForLogging(value) : value;
  return jsonForLogging(shown)?.slice(0, max);
}

function filter(
  source: Hash,
  pathList: PathList,
  convert: (value: unknown) => unknown,
): Hash {
  let copy: Hash = {};
  for (const key of Object.keys(source)) {
    const value = convert(source[key]);
    if (value !== undefined && typeof value !== "function") {
      copy[key] = shorten(value);
    }
  }
  const paths = pathsOf(pathList);
  for (const dotted of paths) {
    const steps = dotted.split(".");
    if (hasPath(copy, steps)) copy = replacePath(copy, steps, "[FILTERED]");
  }
  return paths.length > 0 ? (redact(copy, paths) as Hash) : copy;
}

/** The paths of `config.general.filteredParams`, and that of the token of a stored session. */
function paramPaths(): PathList {
  const paths = settings().general.filteredParams as PathList;
  const { enabled, param } = settings().session;
  return enabled ? [...pathsOf(paths), param] : paths;
}

function pathsOf(list: PathList): string[] {
  return (typeof list === "function" ? list() : list) ?? [];
}

function shorten(value: unknown): unknown {
  const { maxLogStringLength: maxString, maxLogArrayLength: maxArray } =
    settings().logger;
  if (typeof value === "string") return value.slice(0, maxString);
  if (Array.isArray(value) && value.length > maxArray)
    return `${value.length} items`;
  if (isPlainObject(value)) return { ...value };
  return value;
}

/** The params of a request, as `filterObjectForLogging` and with the texts in nested ones cut, too, as JSON. */
export function paramsForLogging(params: object): string | undefined {
  const { maxLogStringLength } = settings().logger;
  const shown =
    !isFiltering() && areShort(params as Hash, maxLogStringLength)
      ? params
      : shortenTexts(
          filterObjectForLogging(params),
          maxLogStringLength,
          new Set(),
        );
  return jsonForLogging(shown, MAX_PARAMS_LENGTH);
}

/** Whether all values are short texts or other primitives: most params need no copy. */
function areShort(params: Hash, max: number): boolean {
  for (const key in params) {
    const value = params[key];
    const isShown =
      typeof value === "string"
        ? value.length <= max
        : value === null ||
          (typeof value !== "object" && typeof value !== "function");
    if (!isShown) return false;
  }
  return true;
}

/**
 * A copy with all texts cut, or the value itself if all are short.
 * @param above the enclosing objects, to detect circular references
 */
function shortenTexts(
  value: unknown,
  max: number,
  above: Set<unknown>,
): unknown {
  if (typeof value === "string") return value.slice(0, max);
  const isList = Array.isArray(value);
  if ((!isList && !isPlainObject(value)) || above.has(value)) return value;
  above.add(value);
  const source = value as Hash;
  let copy: Hash | undefined;
  for (const key of Object.keys(source)) {
    const old = source[key];
    const short = shortenTexts(old, max, above);
    if (short === old) continue;
    copy ??= (isList ? [...(value as unknown[])] : { ...source }) as Hash;
    copy[key] = short;
  }
  above.delete(value);
  return copy ?? value;
}

// --- Redaction: replaces the values at the paths of `config.general.filteredParams`, at any depth.

const REPLACEMENT = "[FILTERED]";

/** One step of a path, and the rest of it. */
interface PathStep {
  /** A name, patterns of names, or undefined for any number of levels. */
  name: string | Patterns | undefined;
  next: PathStep | undefined;
}

/**
 * The size of the cache of matched keys, and the length of the longest cached key, in characters. It holds more keys
 * than one request may have (`web.maxParams`), because the stored params of a TCP client are redacted again for each of
 * its lines.
 */
const MAX_REMEMBERED = 20_000;
const MAX_REMEMBERED_LENGTH = 64;

/**
 * Names in which `*` matches any number of characters, ignoring case. Not a regular expression, because clients choose
 * the keys: this takes linear time, an expression with several wildcards may not.
 */
class Patterns {
  private readonly patterns: string[][];
  private readonly remembered = new Map<string, boolean>();

  constructor(names: readonly string[]) {
    this.patterns = names.map((name) => name.toLowerCase().split(/\*+/));
  }

  has(key: string): boolean {
    const known = this.remembered.get(key);
    if (known !== undefined) return known;
    const lower = key.toLowerCase();
    const found = this.patterns.some((parts) => containsInOrder(lower, parts));
    if (key.length <= MAX_REMEMBERED_LENGTH) {
      if (this.remembered.size >= MAX_REMEMBERED) this.remembered.clear();
      this.remembered.set(key, found);
    }
    return found;
  }
}

/**
 * @param parts the literals between the wildcards: `text` must start with the first, end with the last, and contain the
 * others in order
 */
function containsInOrder(text: string, parts: readonly string[]): boolean {
  const first = parts[0]!;
  const last = parts.at(-1)!;
  if (parts.length === 1) return text === first;
  if (!text.startsWith(first) || !text.endsWith(last)) return false;
  let from = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, from);
    if (found < 0) return false;
    from = found + part.length;
  }
  return from <= text.length - last.length;
}

/** The maximum number of compiled path lists: a server uses only a few. */
const MAX_COMPILED = 8;
const compiled = new Map<string, PathStep[]>();

/**
 * Returns a copy of `value` in which the value at every one of `paths` is `[FILTERED]`; unaffected parts are shared
 * with the original. A path is a list of names separated by dots. `*` in a name matches any number of characters and
 * makes the name case-insensitive; `**` as a name matches any number of levels. Paths apply to each element of a list.
 */
export function redact(value: unknown, paths: readonly string[]): unknown {
  return walk(value, stepsOf(paths), new Set());
}

function stepsOf(paths: readonly string[]): PathStep[] {
  const key = paths.join("\n");
  let steps = compiled.get(key);
  if (!steps) {
    if (compiled.size >= MAX_COMPILED) compiled.clear();
    compiled.set(key, (steps = compile(paths)));
  }
  return steps;
}

function compile(paths: readonly string[]): PathStep[] {
  const anywhere: string[] = [];
  const steps: PathStep[] = [];
  for (const path of paths) {
    const names = path.split(".");
    if (names.length === 2 && names[0] === "**" && names[1] !== "**")
      anywhere.push(names[1]!);
    else steps.push(chainOf(names)!);
  }
  // all `**.name` paths share one step, so that each key is looked up once
  if (anywhere.length > 0) {
    const name = new Patterns(anywhere);
    steps.push({ name: undefined, next: { name, next: undefined } });
  }
  return steps;
}

function chainOf([name, ...rest]: readonly string[]): PathStep | undefined {
  if (name === undefined) return undefined;
  const next = chainOf(rest);
  if (name === "**") return { name: undefined, next };
  if (!name.includes("*")) return { name, next };
  return { name: new Patterns([name]), next };
}

/** @param above the enclosing objects, to detect circular references */
function walk(
  value: unknown,
  steps: readonly PathStep[],
  above: Set<unknown>,
): unknown {
  if (typeof value !== "object" || value === null || above.has(value))
    return value;
  above.add(value);
  const source = propertiesInJson(value);
  const shown = source && walkProperties(source, steps, above);
  above.delete(value);
  if (shown === undefined || shown === source) return value;
  return value instanceof Error ? withProperties(value, shown) : shown;
}

function walkProperties(
  source: object,
  steps: readonly PathStep[],
  above: Set<unknown>,
): object {
  const isList = Array.isArray(source);
  let copy: Hash | undefined;
  for (const key of Object.keys(source)) {
    const old = (source as Hash)[key];
    const shown = filtered(old, stepsBelow(steps, key, isList), above);
    if (shown === old) continue;
    copy ??= (isList ? [...(source as unknown[])] : { ...source }) as Hash;
    copy[key] = shown;
  }
  return copy ?? source;
}

/**
 * The JSON form of an object: the result of `toJSON`, or its own properties (for errors, too).
 * @returns undefined if it shows a text, a number or bytes
 */
function propertiesInJson(value: object): object | undefined {
  if (ArrayBuffer.isView(value)) return undefined;
  const json = jsonOf(value);
  if (typeof json !== "object" || json === null) return undefined;
  if (json instanceof Error) return propertiesOf(json);
  return Array.isArray(json) || isPlainObject(json) ? json : { ...json };
}

function jsonOf(value: object): unknown {
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON !== "function") return value;
  try {
    return (toJSON as () => unknown).call(value);
  } catch {
    return undefined; // JSON will not show the value either
  }
}

/** An object like the original, such as an error with its text, which has other own properties, and shows these in JSON. */
function withProperties(original: object, properties: object): object {
  const { name, message, stack } = original as Partial<Error>;
  const copy = Object.create(original) as object;
  const toJSON = () => properties;
  for (const [key, value] of Object.entries({ name, message, stack, toJSON }))
    if (value !== undefined)
      Object.defineProperty(copy, key, { value, configurable: true });
  return Object.defineProperties(
    copy,
    Object.getOwnPropertyDescriptors(properties),
  );
}

/** @param steps the steps that are left at the value; undefined when a path ends at it */
function filtered(
  value: unknown,
  steps: readonly PathStep[] | undefined,
  above: Set<unknown>,
): unknown {
  if (steps === undefined) return REPLACEMENT;
  return steps.length > 0 ? walk(value, steps, above) : value;
}

/** Like `advance`; paths also apply to each element of a list. */
function stepsBelow(
  steps: readonly PathStep[],
  key: string,
  isList: boolean,
): readonly PathStep[] | undefined {
  const below = advance(steps, key);
  if (isList && below) for (const step of steps) addOnce(below, step);
  return below;
}

/** The steps that are left below a key; undefined when a path ends at it. */
function advance(
  steps: readonly PathStep[],
  key: string,
): PathStep[] | undefined {
  const left: PathStep[] = [];
  for (const step of steps) {
    if (step.name === undefined) addOnce(left, step);
    const here = step.name === undefined ? step.next : step;
    if (here !== undefined && !matches(here.name, key)) continue;
    if (here?.next === undefined) return undefined;
    addOnce(left, here.next);
  }
  return left;
}

/** Keeps each step once, so that the list never has more steps than the paths have names. */
function addOnce(steps: PathStep[], step: PathStep): void {
  if (!steps.includes(step)) steps.push(step);
}

function matches(name: PathStep["name"], key: string): boolean {
  if (name === undefined) return true;
  return typeof name === "string" ? name === key : name.has(key);
}
