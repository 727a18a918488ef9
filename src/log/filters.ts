/** Copies of params and responses that are safe and short enough for a log line. */
import { settings } from "../config/settings";
import { hasPath, isPlainObject, replacePath } from "../utils/objects";
import { escapeControls } from "./escape";
import { jsonForLogging } from "./json";
import { redact } from "./redact";

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

/** The same for a response, by `config.general.filteredResponse`; errors become their message. */
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

/** The fields of a log line without the values at the paths of `config.logger.redact`; an error stays an error. */
export function redactFields(fields: unknown): unknown {
  if (typeof fields !== "object" || fields === null) return fields;
  const paths = pathsOf(settings().logger.redact);
  if (paths.length === 0) return fields;
  if (isPlainObject(fields)) return redact(fields, paths);
  const copy: Hash = { ...fields };
  const shown = redact(copy, paths);
  if (shown === copy) return fields;
  // winston reads the message, stack and cause of errors, which are no fields that a copy would have
  return Object.assign(Object.create(fields) as object, shown);
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

/** Those of `config.general.filteredParams`, and the token of a stored session. */
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
