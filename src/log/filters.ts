/** Copies of params and responses that are safe and short enough for a log line. */
import { config } from "../config/config";
import { hasPath, replacePath } from "../utils/dottedPath";
import { isPlainObject } from "../utils/isPlainObject";
import { escapeControls, escapeJson } from "./escape";
import { redact } from "./redact";

type Hash = Record<string, unknown>;
/** Dotted paths, or a function that names them when asked. */
type PathList = string[] | (() => string[]) | undefined;

/** What one log line shows of params or a response at most: a client can nest megabytes. */
const MAX_JSON_LENGTH = 64 * 1024;

/**
 * Params with long values cut, and what the paths of `config.general.filteredParams` name (`*`, `**`: see `redact`)
 * replaced by `[FILTERED]`.
 */
export function filterObjectForLogging(params: object): {
  [key: string]: any; // v29's type: callers read into it
} {
  const paths = config.general?.filteredParams as PathList;
  return filter(params as Hash, paths, (value) => value);
}

/** The same for a response, by `config.general.filteredResponse`; errors become their message. */
export function filterResponseForLogging(response: object): {
  [key: string]: any;
} {
  const paths = config.general?.filteredResponse as PathList;
  return filter(response as Hash, paths, (value) =>
    value instanceof Error ? value.message : value,
  );
}

/** One value of a client as text: cut, and an object without the values that `config.general.filteredParams` names. */
export function textForLogging(value: unknown): string | null | undefined {
  if (value === undefined || value === null) return value;
  const max = config.logger?.maxLogStringLength as number | undefined;
  if (typeof value === "string") return escapeControls(value.slice(0, max));
  const shown = isPlainObject(value) ? filterObjectForLogging(value) : value;
  return jsonForLogging(shown)?.slice(0, max);
}

/** JSON, or at least a text; cut, as texts deep inside of it are not. */
export function jsonForLogging(value: unknown): string | undefined {
  try {
    const text = JSON.stringify(value)?.slice(0, MAX_JSON_LENGTH);
    return text && escapeJson(text);
  } catch {
    return escapeControls(String(value)); // circular, or a throwing toJSON: a log line must not fail a request
  }
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
  const paths = typeof pathList === "function" ? pathList() : pathList;
  for (const dotted of paths ?? []) {
    const steps = dotted.split(".");
    if (hasPath(copy, steps)) copy = replacePath(copy, steps, "[FILTERED]");
  }
  return paths && paths.length > 0 ? (redact(copy, paths) as Hash) : copy;
}

function shorten(value: unknown): unknown {
  const maxString = config.logger?.maxLogStringLength as number | undefined;
  const maxArray = config.logger?.maxLogArrayLength as number | undefined;
  if (typeof value === "string") return value.slice(0, maxString);
  if (Array.isArray(value) && value.length > (maxArray ?? 10))
    return `${value.length} items`;
  if (isPlainObject(value)) return { ...value };
  return value;
}
