/** Parses query strings like `qs`; flat ones, which are the most common, without it. */
import type * as qs from "qs";

export type Query = { [key: string]: any };

/** Loaded by the first query that needs it, because its many modules would slow down the boot. */
let loaded: typeof qs | undefined;

/** The caller limits the number of params, so that none is silently dropped here. */
const QS_PARAMETER_LIMIT = 100_000;

/**
 * @param query without its `?`
 * @param options of `qs`; if set, `qs` is used
 */
export function parseQuery(
  query: string,
  options?: Record<string, unknown>,
): Query {
  if (query === "") return {};
  const flat = hasOptions(options) ? undefined : parseFlat(query);
  if (flat) return flat;
  loaded ??= require("qs") as typeof qs;
  return loaded.parse(query, {
    parameterLimit: QS_PARAMETER_LIMIT,
    ...(options as qs.IParseOptions),
  });
}

/** Objects and lists of fields whose names have brackets. @param options of `qs` */
export function nestNames(
  fields: Record<string, string | string[]>,
  options?: Record<string, unknown>,
): Query {
  loaded ??= require("qs") as typeof qs;
  return loaded.parse(fields as Record<string, string>, options);
}

/** The number of `key=value` pairs in a query string. */
export function countPairs(query: string): number {
  let count = query === "" ? 0 : 1;
  for (let at = query.indexOf("&"); at !== -1; at = query.indexOf("&", at + 1))
    count++;
  return count;
}

function hasOptions(options: object | undefined): boolean {
  if (options) for (const _key in options) return true;
  return false;
}

/** @returns undefined for brackets or repeated keys, which `qs` handles */
function parseFlat(query: string): Query | undefined {
  if (hasBrackets(query)) return undefined;
  const read = readerFor(query);
  const parsed: Query = {};
  let start = 0;
  while (start <= query.length) {
    let end = query.indexOf("&", start);
    if (end === -1) end = query.length;
    if (end > start) {
      const equals = query.indexOf("=", start);
      const keyEnd = equals === -1 || equals > end ? end : equals;
      const key = read(nameIn(query, start, keyEnd));
      if (Object.hasOwn(parsed, key)) return undefined;
      // names of Object.prototype are dropped, as in `qs`
      if (key !== "" && !(key in Object.prototype))
        parsed[key] = keyEnd === end ? "" : read(query.slice(keyEnd + 1, end));
    }
    start = end + 1;
  }
  return parsed;
}

/**
 * A cache of recent names, one per slot: V8 has to internalize a new string before it can be a property name, which
 * costs more than the rest of the parsing.
 */
const recentNames: string[] = new Array<string>(256).fill("");
const MAX_RECENT_LENGTH = 32;

/** The part of a query between two positions. */
function nameIn(query: string, start: number, end: number): string {
  const length = end - start;
  if (length === 0 || length > MAX_RECENT_LENGTH)
    return query.slice(start, end);
  const ends = query.charCodeAt(start) * 31 + query.charCodeAt(end - 1);
  const slot = (ends * 31 + length) & 255;
  const recent = recentNames[slot]!;
  if (recent.length === length && query.startsWith(recent, start))
    return recent;
  return (recentNames[slot] = internalized(query.slice(start, end)));
}

/**
 * The internalized copy of a name, taken from a property key: looking it up is free, and it does not keep the query in
 * memory.
 */
function internalized(name: string): string {
  return Object.keys({ [name]: 0 })[0] ?? name;
}

function hasBrackets(query: string): boolean {
  if (query.includes("[") || query.includes("]")) return true;
  return query.includes("%") && /%5[bd]/i.test(query);
}

/** Most queries have nothing to decode. */
function readerFor(query: string): (text: string) => string {
  return query.includes("%") || query.includes("+") ? decode : asItIs;
}

function asItIs(text: string): string {
  return text;
}

function decode(text: string): string {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced; // as in `qs`: a lone percent sign is kept
  }
}
