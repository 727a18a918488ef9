/** The fields of forms: pairs of names and values, and what brackets in the names mean. */
import * as querystring from "node:querystring";
import { BodyError } from "./bodyError";
import { decodeText, decoderFor } from "./contentType";
import { countPairs, nestNames, type Query } from "./query";

/** Every value of every name, in the order in which they came. */
export type Lists<T> = Iterable<[name: string, values: T[]]>;

/**
 * The pairs of an `application/x-www-form-urlencoded` body.
 * @throws BodyError
 */
export function parseForm(
  bytes: Buffer,
  charset: string | undefined,
  maxParams: number,
): Lists<string> {
  const decode = charset === undefined ? undefined : percentDecoder(charset);
  // of other charsets each byte is a character until the escapes are resolved
  const text = decode ? bytes.toString("latin1") : decodeText(bytes, undefined);
  if (countPairs(text) > maxParams)
    throw BodyError.tooComplex("web.maxParams", maxParams, "params");
  const parsed = querystring.parse(text, "&", "=", {
    maxKeys: 0,
    decodeURIComponent: decode,
  });
  return Object.entries(parsed).map(([name, value]): [string, string[]] => [
    name,
    Array.isArray(value) ? value : [value ?? ""],
  ]);
}

/** Escapes of a form stand for bytes in the form's charset, too. */
function percentDecoder(charset: string): (text: string) => string {
  const decoder = decoderFor(charset);
  return (text) => decoder.decode(Buffer.from(unescape(text), "latin1"));
}

function unescape(text: string): string {
  return text.replace(/%([\da-f]{2})/gi, (_escape, hex: string) =>
    String.fromCharCode(parseInt(hex, 16)),
  );
}

/**
 * Objects and lists of fields, as a query with the same names has; a plain name that is repeated is a list only if
 * `isList` is true, otherwise its last value counts.
 * @param options of `qs`
 */
export function nestFields(
  fields: Lists<string>,
  isList: boolean,
  options: Record<string, unknown> | undefined,
): Query {
  const named: Record<string, string | string[]> = {};
  for (const [name, values] of fields) {
    const keepsAll = name.includes("[") ? values.length > 1 : isList;
    if (name !== "__proto__") named[name] = keepsAll ? values : values.at(-1)!;
  }
  return nestNames(named, options);
}

/** The name of the field whose list `name[]` is. */
export function fieldNameOf(name: string): string {
  return name.endsWith("[]") ? name.slice(0, -2) : name;
}
