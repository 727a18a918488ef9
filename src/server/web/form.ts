/** Parses the fields of forms: pairs of names and values, and brackets in names. */
import * as querystring from "node:querystring";
import { BodyError } from "./bodyError";
import { decodeText, decoderFor } from "./contentType";
import { countPairs, nestNames, type Query } from "./query";

/** Every value of every name, in order. */
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
  const spaced = plusToSpace(bytes);
  // for other charsets, each byte is a character until the escapes are decoded
  const text = decode
    ? spaced.toString("latin1")
    : decodeText(spaced, undefined);
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

/** Escapes of a form are also bytes in the form's charset. */
function percentDecoder(charset: string): (text: string) => string {
  const decoder = decoderFor(charset);
  return (text) => decoder.decode(unescape(Buffer.from(text, "latin1")));
}

const PERCENT = 0x25;
const PLUS = 0x2b;
const SPACE = 0x20;

/** In bytes, since a million small replacements in a string cost a heap of memory. */
function plusToSpace(bytes: Buffer): Buffer {
  let at = bytes.indexOf(PLUS);
  if (at === -1) return bytes;
  const spaced = Buffer.from(bytes);
  for (; at < spaced.length; at++) if (spaced[at] === PLUS) spaced[at] = SPACE;
  return spaced;
}

/** Resolve the escapes in place. */
function unescape(bytes: Buffer): Buffer {
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const high = bytes[at] === PERCENT ? hexDigit(bytes[at + 1]) : -1;
    const low = high < 0 ? -1 : hexDigit(bytes[at + 2]);
    if (low < 0) bytes[length++] = bytes[at]!;
    else {
      bytes[length++] = high * 16 + low;
      at += 2;
    }
  }
  return bytes.subarray(0, length);
}

/** @returns -1 if it is not a hexadecimal digit */
function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20; // in lower case
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
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
