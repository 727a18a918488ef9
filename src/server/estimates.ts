/**
 * Estimates the memory that the data of clients takes: bodies, queries, messages and lines, and the params that a TCP client
 * stores. It is counted before the data is parsed; for short JSON documents, afterwards.
 */
import { isAscii } from "node:buffer";
import {
  BACKSLASH,
  COLON,
  COMMA,
  OPEN_LIST,
  OPEN_OBJECT,
  QUOTE,
  SPACE,
} from "../utils/boundedJson";

// --- The costs, in bytes of the heap of V8. `test/hostile/estimates.test.ts` compares those of JSON, queries, forms and
// stored texts with the heap. Hostile shapes take no more than is counted, random ones at most twice as much, and ordinary
// ones at least a tenth. A version of V8 for which this does not hold fails there.

/** JSON: an empty object, or a list of one item. */
const JSON_CONTAINER_BYTES = 56;
/** A further item of a list: its slot, and a number that is not a small integer. */
const JSON_ITEM_BYTES = 24;
/** A member under a name that is new at its place: V8 stores the name, and describes the shape of the object so far. */
const JSON_MEMBER_BYTES = 128;
/** A member under an index: V8 stores a list with a slot for each lower index, of up to 35 slots for one. */
const JSON_INDEX_BYTES = 304;
/** The header of a text, half of it for each quote. */
const JSON_TEXT_BYTES = 24;
/** The bytes of an object from which `__proto__` was removed, beside its members: it is a hash table. */
const JSON_TABLE_BYTES = 64;

/** A param of a query or form: its places in two hash tables, as params and as the query or body, and the headers of its texts. */
const QUERY_PAIR_BYTES = 224;
/** An object or a list that a bracket in a name creates, with its first member. */
const BRACKET_BYTES = 256;

/** A text that a TCP client stores as a param: its places in two hash tables, and the headers of three texts. */
const STORED_TEXT_BYTES = 192;

// The following are calculated from the layout of V8's objects, with a reserve.

/** A param of a line over TCP that is not JSON, `name=value`: a name and a text. */
const LINE_PAIR_BYTES = 160;
/**
 * A member of an object or list in the params of a TCP client, beside its name and value: less than is counted for the
 * line that it came in, because only its removal is counted.
 */
const STORED_MEMBER_BYTES = 16;
/** A param in the copy of the stored params that each action gets: the value is not copied. */
export const COPIED_PARAM_BYTES = 64;
/** A piece of a message over websocket, beside its bytes: a chunk of a frame, or a fragment, which may have one byte. */
export const PIECE_BYTES = 192;
/** A request over websocket that waits for an earlier one, beside its text. */
export const WAITING_REQUEST_BYTES = 512;

/** A header line of a request: its places in a list and a hash table, and the headers of its texts. */
export const HEADER_LINE_BYTES = 200;
/**
 * A request whose response waits for an earlier one, beside its head: request, response, connection and action, measured. Those
 * of node alone take 1.2 KB.
 */
export const QUEUED_REQUEST_BYTES = 6 * 1024;

// --- What is not worth counting, because each connection takes more than that anyway.

/** Messages and documents up to this length count as their length. */
const UNCOUNTED_MESSAGE_LENGTH = 64;
/** Queries without brackets up to this length. */
const UNCOUNTED_QUERY_LENGTH = 100;
/** Params of a line over TCP, which then stay for the next lines. */
export const UNCOUNTED_LINE_BYTES = 1024;
/** Copies of stored params that take up to this. */
export const UNCOUNTED_COPY_BYTES = 4096;
/** Messages over websocket that take up to this when parsed, unless several are waiting; or when they are incomplete. */
export const UNCOUNTED_MESSAGE_BYTES = 4096;

/** The header lines of a request that is alone on its connection: browsers and proxies send fewer. */
export const UNCOUNTED_HEADER_LINES = 40;
/** The head of a websocket's upgrade, which it keeps: lines of a browser with 4 KB of cookies take as much. */
export const UNCOUNTED_HEAD_BYTES = 10 * 1024;

// --- Compressed bodies and messages.

/** A body or message that inflates to more bytes may be at most `MAX_RATIO` times as large as it was received. */
const MIN_BOMB_BYTES = 64 * 1024;
export const MAX_RATIO = 100;

/** The most that a number of compressed bytes may be inflated to, in bytes. */
export function mostInflated(received: number): number {
  return Math.max(MIN_BOMB_BYTES, received * MAX_RATIO);
}

/** Options of `qs`. */
type QueryOptions = Record<string, unknown>;

// --- JSON, and lines over TCP.

const SMALL_U = 117;
const DIGIT_0 = 48;
const DIGIT_9 = 57;

/** How many bytes a document of UTF-8 takes beside its characters for each of its bytes. */
const EXTRA_BYTES = new Uint8Array(256);
EXTRA_BYTES[QUOTE] = JSON_TEXT_BYTES / 2;
EXTRA_BYTES[COMMA] = JSON_ITEM_BYTES;
EXTRA_BYTES[COLON] = JSON_MEMBER_BYTES;
EXTRA_BYTES[OPEN_OBJECT] = EXTRA_BYTES[OPEN_LIST] = JSON_CONTAINER_BYTES;

/** How many bytes it takes if every name is an index. */
const MOST_BYTES = Uint16Array.from(EXTRA_BYTES);
MOST_BYTES[COLON] = JSON_INDEX_BYTES;

/**
 * A short document is read without its names, unless it may take this many times its length: with them, the estimate takes
 * three times as long.
 */
const QUICK_LENGTH = 4096;
const USUAL_RATIO = 32;

/** How much memory a message takes at most when it is parsed, in bytes: a document, or a line of `name=value`. */
export function messageBytes(text: string): number {
  if (text.length <= UNCOUNTED_MESSAGE_LENGTH) return text.length;
  const bytes = documentBytes(Buffer.from(text)); // bytes are read in a fifth of the time of characters
  return text.includes("=") && !DOCUMENT.test(text)
    ? bytes + (text.split("=").length - 1) * LINE_PAIR_BYTES
    : bytes;
}

const DOCUMENT = /^\s*[{["]/;

/**
 * How much memory a document takes at most when it is parsed, in bytes: sixty times its length if it is all `{"33":`.
 * It is one pass over the bytes, because clients choose the number of brackets and commas, and a search for each would
 * take ten times as long.
 */
export function documentBytes(document: Uint8Array): number {
  const { length } = document;
  if (length <= UNCOUNTED_MESSAGE_LENGTH) return length;
  const characters = mayBeWide(document) ? 2 * length : length;
  if (length <= QUICK_LENGTH) {
    let most = characters;
    for (let i = 0; i < length; i++) most += MOST_BYTES[document[i]!]!;
    if (most <= USUAL_RATIO * length) return most;
  }
  let bytes = characters;
  for (let i = 0; i < length; i++) {
    const code = document[i]!;
    bytes += EXTRA_BYTES[code]!;
    if (code === COLON && mayFollowIndex(document, i))
      bytes += JSON_INDEX_BYTES - JSON_MEMBER_BYTES;
  }
  return bytes;
}

/** Documents up to this length, in bytes, may be parsed before they are counted: that takes 250 KB at most, for a moment. */
export const SHORT_DOCUMENT_LENGTH = 4096;

/**
 * As `documentBytes`, for a document that has been parsed: the members of a value are fewer than the signs of its
 * text.
 * @param value of a document of at most `SHORT_DOCUMENT_LENGTH`, because it is followed by recursion
 */
export function parsedDocumentBytes(
  document: Uint8Array,
  value: unknown,
): number {
  const { length } = document;
  if (length <= UNCOUNTED_MESSAGE_LENGTH) return length;
  return (mayBeWide(document) ? 2 * length : length) + valueBytes(value);
}

function valueBytes(value: unknown): number {
  if (typeof value === "string") return JSON_TEXT_BYTES;
  if (typeof value !== "object" || value === null) return 0;
  return Array.isArray(value)
    ? listBytes(value)
    : objectBytes(value as Record<string, unknown>);
}

function listBytes(list: unknown[]): number {
  let bytes = JSON_CONTAINER_BYTES + list.length * JSON_ITEM_BYTES;
  for (const item of list)
    if (typeof item !== "number") bytes += valueBytes(item);
  return bytes;
}

function objectBytes(object: Record<string, unknown>): number {
  let bytes = JSON_CONTAINER_BYTES + JSON_TABLE_BYTES;
  for (const name in object) {
    const isIndex = isDigit(name.charCodeAt(0)); // or nearly one
    bytes += isIndex ? JSON_INDEX_BYTES : JSON_MEMBER_BYTES;
    bytes += JSON_TEXT_BYTES + valueBytes(object[name]);
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

// --- Queries and forms.

/** Whether the memory of a query is not worth measuring. */
export function isShortQuery(query: string, options?: QueryOptions): boolean {
  return (
    query.length <= UNCOUNTED_QUERY_LENGTH &&
    !hasBrackets(query) &&
    !hasOptions(options)
  );
}

/** How much memory a number of pairs takes at most, without what brackets in their names create. */
export function pairBytes(count: number, text: string): number {
  return count * QUERY_PAIR_BYTES + textBytes(text);
}

/** One character above U+00FF makes V8 store all with two bytes; what is unescaped is a copy. */
export function textBytes(text: string): number {
  const copied = text.includes("%") ? text.length : 0;
  return (copied > 0 || isWide(text) ? text.length * 2 : text.length) + copied;
}

/** The expression cannot match a text that V8 stores with one byte a character, which V8 knows. */
function isWide(text: string): boolean {
  return WIDE.test(text);
}

// eslint-disable-next-line no-control-regex -- the first 256 characters
const WIDE = /[^\x00-\xff]/;

/** V8 stores members of indexes in lists, which grow beyond their length in steps, but are never longer than this. */
const MAX_LISTED = 3324;

/** The step beyond which V8 makes a hash table of a list. */
const MAX_STEP = 1024;

/** How much memory the slots of an object or list take that is given a member of an index. @param before its slots before */
function slotBytes(index: number, before: number): number {
  const isListed = index < MAX_LISTED && index < before / 8 + MAX_STEP;
  const bytes = 8 * (index + ((index + 1) >> 1) + 20);
  return isListed ? Math.max(bytes, before) : before;
}

/**
 * How much memory the slots of an object take that has members of indexes, such as `{ 999: "" }`. They are the first keys
 * of an object, in order.
 */
export function indexedBytes(keys: string[]): number {
  let bytes = 0;
  for (const key of keys) {
    const index = indexAt(key, 0, key.length);
    if (index === -1) break;
    bytes = slotBytes(index, bytes);
  }
  return bytes;
}

/** @returns -1 for a name that is not an index */
function indexAt(name: string, start: number, end: number): number {
  if (end === start || end - start > 10) return -1;
  let index = 0;
  for (let at = start; at < end; at++) {
    const digit = name.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return -1;
    index = index * 10 + digit;
  }
  return index;
}

/** The limits of the brackets of a request. */
export interface BracketLimits {
  /** Options of `qs`. */
  readonly queryParseOptions?: QueryOptions | undefined;
  readonly maxParams: number;
  /** Levels of objects and lists, with the params themselves; an own `depth` of the options replaces it. */
  readonly maxBodyDepth: number;
}

/** Measures what the brackets in names create: `a[33]` creates an object with a list of 67 slots. */
export class Brackets {
  /** Their number; those after the limit are not counted. */
  count = 0;
  /** Whether a name has more levels than the limit. */
  isTooDeep = false;
  /** How much memory they take at most. */
  bytes = 0;
  /** The slots of each object and list, in bytes, by the start of the names that create it. */
  private readonly slots = new Map<string, number>();
  private readonly hasDots: boolean;
  private readonly hasLists: boolean;
  /** Brackets of a name whose names become keys. */
  private readonly depth: number;
  private readonly isCut: boolean;
  private readonly maxCount: number;

  constructor({
    queryParseOptions: options,
    maxParams,
    maxBodyDepth,
  }: BracketLimits) {
    this.maxCount = maxParams;
    this.hasDots = Boolean(options?.allowDots ?? options?.decodeDotInKeys);
    this.hasLists = Boolean(options?.comma);
    this.isCut = options?.depth !== undefined;
    this.depth = Number(options?.depth ?? maxBodyDepth - 1);
  }

  add(name: string, value: string): void {
    if (this.count > this.maxCount) return;
    if (this.hasLists) this.addItems(value);
    this.addName(this.hasDots ? name.replace(/\.([^.[]*)/g, "[$1]") : name);
  }

  private addItems(value: string): void {
    const items = value.split(",").length - 1;
    this.count += items;
    this.bytes += items * QUERY_PAIR_BYTES;
  }

  private addName(name: string): void {
    let level = 0;
    // what follows `[]` is in an item of its own, even if the name is known
    let isInNew = false;
    let open = name.indexOf("[");
    while (open !== -1) {
      this.count++;
      if (level++ <= this.depth) this.addBracket(name, open + 1, isInNew);
      this.isTooDeep ||= !this.isCut && level > this.depth;
      isInNew ||= name.startsWith("[]", open);
      open = name.indexOf("[", open + 1);
    }
  }

  private addBracket(name: string, start: number, isNew: boolean): void {
    const owner = name.slice(0, start);
    const known = isNew ? undefined : this.slots.get(owner);
    const before = known ?? 0;
    const end = name.indexOf("]", start);
    const index = end === -1 ? -1 : indexAt(name, start, end);
    const after = index === -1 ? before : slotBytes(index, before);
    this.bytes += after - before + (known === undefined ? BRACKET_BYTES : 0);
    if (after !== known && !isNew) this.slots.set(owner, after);
  }
}

/**
 * Measure the brackets of a query before `qs` parses it, and the items of its values if `options.comma` makes them lists.
 */
export function bracketsOf(query: string, limits: BracketLimits): Brackets {
  const { queryParseOptions: options } = limits;
  const brackets = new Brackets(limits);
  if (!hasBrackets(query) && !hasOptions(options)) return brackets;
  const delimiter = (options?.delimiter ?? "&") as string | RegExp;
  for (const pair of withBrackets(query).split(delimiter)) {
    const close = pair.indexOf("]=");
    const equals = close === -1 ? pair.indexOf("=") : close + 1;
    const name = equals === -1 ? pair : pair.slice(0, equals);
    brackets.add(unescaped(name), pair);
  }
  return brackets;
}

function withBrackets(query: string): string {
  return query.includes("%")
    ? query.replace(/%5b/gi, "[").replace(/%5d/gi, "]")
    : query;
}

/** In any charset, and beside escapes that are invalid: only brackets, digits and dots matter. */
function unescaped(name: string): string {
  if (!name.includes("%")) return name;
  return name.replace(/%([\da-f]{2})/gi, (_escape, code: string) =>
    String.fromCharCode(parseInt(code, 16)),
  );
}

export function hasOptions(options: object | undefined): boolean {
  if (options) for (const _key in options) return true;
  return false;
}

export function hasBrackets(query: string): boolean {
  if (query.includes("[") || query.includes("]")) return true;
  return query.includes("%") && /%5[bd]/i.test(query);
}

// --- The params that a TCP client stores.

/** Approximate bytes of a param. */
export function paramBytes(
  params: Record<string, unknown>,
  key: string,
): number {
  if (!Object.hasOwn(params, key)) return 0;
  const value = params[key];
  return typeof value === "string"
    ? textParamBytes(key, value)
    : key.length + STORED_MEMBER_BYTES + bytesOf(value);
}

/** The name is stored twice: the value is a part of the word that both came in. */
function textParamBytes(key: string, value: string): number {
  const characters = 2 * key.length + value.length;
  const bytesEach = isWide(key) || isWide(value) ? 2 : 1;
  return STORED_TEXT_BYTES + characters * bytesEach;
}

/** Approximate bytes of a value that was received as JSON or text. */
function bytesOf(value: unknown): number {
  const left = [value];
  let bytes = 0;
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next === "string") bytes += next.length;
    else if (typeof next === "object" && next !== null) {
      for (const [key, member] of Object.entries(next)) {
        bytes += key.length + STORED_MEMBER_BYTES;
        left.push(member);
      }
    }
  }
  return bytes;
}
