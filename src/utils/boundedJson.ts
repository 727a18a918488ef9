/** Parses untrusted JSON: its structure is measured in the text, before a parser creates objects. */
import { isAscii } from "node:buffer";

/** The limits of a JSON document. */
export interface JsonLimits {
  /** Levels of objects and lists. */
  maxDepth: number;
  /** Keys of all objects together. */
  maxKeys: number;
  /** Items of all lists together. */
  maxItems: number;
}

/** The document exceeds a limit, whether or not it is valid; it was not parsed. */
export class JsonLimitError extends Error {
  constructor(
    readonly exceeded: keyof JsonLimits,
    readonly limit: number,
  ) {
    super(`${exceeded} is ${limit}`);
  }
}

const QUOTE = 34;
const COMMA = 44;
const DIGIT_0 = 48;
const DIGIT_9 = 57;
const COLON = 58;
const OPEN_LIST = 91;
const BACKSLASH = 92;
const CLOSE_LIST = 93;
const SMALL_U = 117;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
const SPACE = 32;

/**
 * Parse a document; own `__proto__` keys are removed at every level, because copying them would change the prototype
 * of the copy.
 * @throws JsonLimitError before anything is parsed, SyntaxError
 */
export function parseBoundedJson(text: string, limits: JsonLimits): unknown {
  if (!isSmall(text, limits)) countStructure(text, limits);
  const value: unknown = JSON.parse(text);
  if (mayHoldProto(text)) removeProto(value);
  return value;
}

// --- How much memory V8 takes for parsed documents: `test/hostile/estimates.test.ts` compares it with the heap.

/** An empty object, or a list of one item. */
const CONTAINER_BYTES = 56;

/** A further item of a list: its slot, and a number that is no small integer. */
const ITEM_BYTES = 24;

/** A member under a name that is new at its place: V8 stores the name, and describes the shape of the object so far. */
const MEMBER_BYTES = 128;

/** A member under an index: V8 stores a list with a slot for each lower index, of up to 35 slots for one. */
const INDEX_BYTES = 304;

/** Half of the header of a text. */
const QUOTE_BYTES = 12;

/** The memory of texts up to this length is not worth counting. */
const MIN_LENGTH = 64;

/** A param of a line without JSON, `name=value`: a name and a text. */
const PAIR_BYTES = 160;

/** How many bytes a document of UTF-8 takes beside its characters for each of its bytes. */
const EXTRA_BYTES = new Uint8Array(256);
EXTRA_BYTES[QUOTE] = QUOTE_BYTES;
EXTRA_BYTES[COMMA] = ITEM_BYTES;
EXTRA_BYTES[COLON] = MEMBER_BYTES;
EXTRA_BYTES[OPEN_OBJECT] = EXTRA_BYTES[OPEN_LIST] = CONTAINER_BYTES;

/** The same if every name is an index. */
const MOST_BYTES = Uint16Array.from(EXTRA_BYTES);
MOST_BYTES[COLON] = INDEX_BYTES;

/** The names of a short document are not looked at, unless it may take this many times its length: that takes thrice as long. */
const SHORT_LENGTH = 4096;
const USUAL_RATIO = 32;

/** How much memory a message takes at most when it is parsed, in bytes: a document, or a line of `name=value`. */
export function parsedBytes(text: string): number {
  if (text.length <= MIN_LENGTH) return text.length;
  const bytes = parsedBytesOf(Buffer.from(text)); // bytes are read in a fifth of the time of characters
  return text.includes("=") && !DOCUMENT.test(text)
    ? bytes + (text.split("=").length - 1) * PAIR_BYTES
    : bytes;
}

const DOCUMENT = /^\s*[{["]/;

/**
 * How much memory a document takes at most when it is parsed, in bytes: sixty times its length if it is all `{"33":`. It
 * is one pass over the bytes, because clients choose how many signs there are, and a search for each would take ten times
 * as long.
 */
export function parsedBytesOf(document: Uint8Array): number {
  const { length } = document;
  if (length <= MIN_LENGTH) return length;
  const characters = mayBeWide(document) ? 2 * length : length;
  if (length <= SHORT_LENGTH) {
    let most = characters;
    for (let i = 0; i < length; i++) most += MOST_BYTES[document[i]!]!;
    if (most <= USUAL_RATIO * length) return most;
  }
  let bytes = characters;
  for (let i = 0; i < length; i++) {
    const code = document[i]!;
    bytes += EXTRA_BYTES[code]!;
    if (code === COLON && mayFollowIndex(document, i))
      bytes += INDEX_BYTES - MEMBER_BYTES;
  }
  return bytes;
}

/** Whether a text of the document may take two bytes a character: one character above U+00FF is enough. */
function mayBeWide(document: Uint8Array): boolean {
  if (!isAscii(document)) return true;
  let at = document.indexOf(BACKSLASH);
  while (at !== -1 && document[at + 1] !== SMALL_U)
    at = document.indexOf(BACKSLASH, at + 2);
  return at !== -1;
}

/** The longest index, 4294967294, if every digit is escaped. */
const MAX_INDEX_LENGTH = 60;

/** Most colons follow a name that does not end with a digit: a call for each would take four times as long. */
function mayFollowIndex(document: Uint8Array, colon: number): boolean {
  if (colon < 2) return false;
  const code = document[colon - 2]!;
  const isName =
    document[colon - 1] === QUOTE && (code > DIGIT_9 || code < DIGIT_0);
  return !isName && isAfterIndex(document, colon);
}

/** Whether the key before a colon may be an index: `"33"`, or `"\u0033"`. */
function isAfterIndex(document: Uint8Array, colon: number): boolean {
  let at = colon - 1;
  while (at > 0 && document[at]! <= SPACE) at--;
  if (document[at] !== QUOTE || !isDigit(document[at - 1])) return false;
  const first = Math.max(0, at - 1 - MAX_INDEX_LENGTH);
  for (at--; at >= first; at--) {
    const code = document[at]!;
    if (code === QUOTE) return true;
    if (!isDigit(code) && code !== SMALL_U && code !== BACKSLASH) return false;
  }
  return false;
}

function isDigit(code: number | undefined): boolean {
  return code !== undefined && code >= DIGIT_0 && code <= DIGIT_9;
}

/**
 * The text of one member of the outermost object, without parsing the others.
 * @returns undefined if it is missing, or is an object or a list
 */
export function topLevelScalar(text: string, key: string): unknown {
  const name = JSON.stringify(key);
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) {
      const end = endOfString(text, i);
      if (end === -1) return undefined;
      if (
        depth === 1 &&
        end - i + 1 === name.length &&
        text.startsWith(name, i)
      ) {
        const value = scalarAfterColon(text, end + 1);
        if (value !== undefined) return value;
      }
      i = end;
    } else if (code === OPEN_LIST || code === OPEN_OBJECT) depth++;
    else if (code === CLOSE_LIST || code === CLOSE_OBJECT) depth--;
  }
  return undefined;
}

/** Sticky, so that it matches at one position only; bounded, so that it cannot take long there. */
const SCALAR_MEMBER =
  /[ \t\r\n]{0,8}:[ \t\r\n]{0,8}("[^"\\]{0,256}"|-?[\d.eE+]{1,32}|true|false)/y;

function scalarAfterColon(text: string, at: number): unknown {
  SCALAR_MEMBER.lastIndex = at;
  const found = SCALAR_MEMBER.exec(text);
  if (!found) return undefined;
  try {
    return JSON.parse(found[1]!) as unknown;
  } catch {
    return undefined; // digits that are not a number
  }
}

/**
 * Whether a text is too short, and opens too few brackets, to exceed the limits. This covers nearly all texts, at the
 * cost of finding the brackets.
 */
function isSmall(
  text: string,
  { maxDepth, maxKeys, maxItems }: JsonLimits,
): boolean {
  // the shortest key is `"":0,`, the shortest item `0,`
  if (text.length > maxKeys * 5 || text.length > maxItems * 2) return false;
  let opened = 0;
  for (const bracket of ["{", "["]) {
    let at = text.indexOf(bracket);
    for (; at !== -1; at = text.indexOf(bracket, at + 1))
      if (++opened > maxDepth) return false;
  }
  return true;
}

/** @throws JsonLimitError */
function countStructure(text: string, limits: JsonLimits): void {
  const structure = new Structure(limits);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) {
      i = endOfString(text, i);
      if (i === -1) return; // malformed: the parser reports it
    } else if (code === COMMA) structure.comma();
    else if (code === COLON) structure.colon();
    else if (code === OPEN_OBJECT) structure.open(0);
    else if (code === OPEN_LIST) {
      structure.open(1);
      if (!isEmptyList(text, i + 1)) structure.addItems(1);
    } else if (code === CLOSE_LIST || code === CLOSE_OBJECT) structure.close();
  }
}

/** Whether each level is a list (1) or an object (0); used within one call only. */
let levels = new Uint8Array(256);

/** Counts the levels, keys and items of a document. Its methods throw a JsonLimitError. */
class Structure {
  private depth = 0;
  private keys = 0;
  private items = 0;
  private isInList = 0;

  constructor(private readonly limits: JsonLimits) {}

  /** @param isList 1 for a list, 0 for an object */
  open(isList: number): void {
    const { maxDepth } = this.limits;
    if (++this.depth > maxDepth) throw new JsonLimitError("maxDepth", maxDepth);
    if (this.depth >= levels.length) levels = grown(levels);
    levels[this.depth] = this.isInList = isList;
  }

  close(): void {
    if (this.depth > 0) this.depth--;
    this.isInList = levels[this.depth]!;
  }

  colon(): void {
    const { maxKeys } = this.limits;
    if (++this.keys > maxKeys) throw new JsonLimitError("maxKeys", maxKeys);
  }

  /** Before a further key of an object, or a further item of a list. */
  comma(): void {
    this.addItems(this.isInList);
  }

  addItems(count: number): void {
    const { maxItems } = this.limits;
    this.items += count;
    if (this.items > maxItems) throw new JsonLimitError("maxItems", maxItems);
  }
}

function grown(full: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(full.length * 2);
  larger.set(full);
  return larger;
}

function isEmptyList(text: string, start: number): boolean {
  let at = start;
  while (text.charCodeAt(at) <= SPACE) at++;
  return text.charCodeAt(at) === CLOSE_LIST;
}

/** @returns the index of the closing quote, or -1 */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end;
}

function isEscaped(text: string, quote: number): boolean {
  let at = quote - 1;
  while (text.charCodeAt(at) === BACKSLASH) at--;
  return (quote - at) % 2 === 0;
}

/** An escape (`\u005f`) may also spell the name. */
function mayHoldProto(text: string): boolean {
  return text.includes("__proto__") || text.includes("\\u");
}

/** Level by level, not by recursion: a deep document must not overflow the stack. */
function removeProto(value: unknown): void {
  let level: object[] = isObject(value) ? [value] : [];
  while (level.length > 0) {
    const next: object[] = [];
    for (const container of level) {
      if (Object.hasOwn(container, "__proto__"))
        delete (container as { __proto__?: unknown }).__proto__;
      for (const item of Object.values(container))
        if (isObject(item)) next.push(item);
    }
    level = next;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
