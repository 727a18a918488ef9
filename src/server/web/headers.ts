/** The headers of responses: the prepared default list, and merging what actions add. */
import { validateHeaderName, validateHeaderValue } from "node:http";
import type { WebConfig } from "./webConfig";

/** `[name, value]` in the order in which they were pushed: the last one of a name wins. */
export type HeaderPairs = [string, any][];

/** Names and values in turn, names in lower case: the form that node writes fastest. */
export type FlatHeaders = string[];

export const JSON_TYPE = "application/json; charset=utf-8";

interface Prepared {
  source: WebConfig["httpHeaders"];
  values: unknown[];
  flat: FlatHeaders;
}

let prepared: Prepared | undefined;

/** The default headers as pairs, for requests whose list somebody looks at or adds to. */
export function defaultPairs(
  httpHeaders: WebConfig["httpHeaders"],
  setCookie: string | undefined,
): HeaderPairs {
  const pairs: HeaderPairs = [];
  if (setCookie !== undefined) pairs.push(["Set-Cookie", setCookie]);
  pairs.push(["Content-Type", JSON_TYPE]);
  for (const name of Object.keys(httpHeaders ?? {})) {
    const value = httpHeaders![name];
    if (value) pairs.push([name, value]);
  }
  return pairs;
}

/** The default headers ready to be written; built once, and again when `config.web.httpHeaders` changed. */
export function preparedHeaders(
  httpHeaders: WebConfig["httpHeaders"],
): readonly string[] {
  if (!prepared || prepared.source !== httpHeaders || hasChanged(prepared)) {
    prepared = {
      source: httpHeaders,
      values: Object.entries(httpHeaders ?? {}).flat(),
      flat: mergeHeaders(defaultPairs(httpHeaders, undefined)),
    };
  }
  return prepared.flat;
}

/** Configurations are changed in place, by tests above all. */
function hasChanged({ source, values }: Prepared): boolean {
  let i = 0;
  for (const name in source) {
    if (values[i++] !== name || values[i++] !== source[name]) return true;
  }
  return i !== values.length;
}

/**
 * Of each name only the last, except cookies, which all stay, the last first.
 * @throws TypeError for names and values that would not be valid on the wire, e.g. with a line break
 */
export function mergeHeaders(pairs: HeaderPairs): FlatHeaders {
  const flat: FlatHeaders = [];
  const seen = new Set<string>();
  for (let i = pairs.length - 1; i >= 0; i--) {
    const [name, value] = pairs[i]!;
    const lower = String(name).toLowerCase();
    if (lower !== "set-cookie") {
      if (seen.has(lower)) continue;
      seen.add(lower);
    }
    if (value === undefined || value === null) continue;
    for (const one of Array.isArray(value) ? (value as unknown[]) : [value]) {
      const text = String(one as string);
      validateHeaderName(lower);
      validateHeaderValue(lower, text);
      flat.push(lower, text);
    }
  }
  return flat;
}

/** The value that would be sent for a name (in lower case). */
export function valueOf(pairs: HeaderPairs, name: string): string | undefined {
  for (let i = pairs.length - 1; i >= 0; i--) {
    const [key, value] = pairs[i]!;
    if (String(key).toLowerCase() === name) return String(value);
  }
  return undefined;
}

/** Set a header in a flat list, in place of the one that is there. */
export function setFlat(
  flat: FlatHeaders,
  name: string,
  value: string | undefined,
): void {
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] !== name) continue;
    if (value === undefined) flat.splice(i, 2);
    else flat[i + 1] = value;
    return;
  }
  if (value !== undefined) flat.push(name, value);
}

/** The value of a name (in lower case) in a flat list. */
export function getFlat(
  flat: readonly string[],
  name: string,
): string | undefined {
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] === name) return flat[i + 1];
  }
  return undefined;
}
