/** How much memory the params of requests take at most, counted before they are parsed. */
import { ByteShare } from "../heldBytes";
import { BodyError, RequestAborted } from "./bodyError";
import type { WebRequest } from "./webRequest";

/** The bytes of the request in memory, until it ends. */
export function shareOf(request: WebRequest): ByteShare {
  return (request.held ??= new ByteShare());
}

/** Check before bytes of the request are stored. @returns the error of the request if they must not be */
export function hold(request: WebRequest, bytes: number): Error | undefined {
  const share = shareOf(request);
  if (share.take(bytes)) return undefined;
  return share.isReleased ? new RequestAborted() : BodyError.overloaded();
}

/** Take memory before it is used. @throws BodyError, RequestAborted */
export function admit(request: WebRequest, bytes: number): void {
  const refusal = hold(request, bytes);
  if (refusal) throw refusal;
}

/** Before the objects and lists that the brackets create. @throws BodyError when there are more than `config.web.maxParams` */
export function admitBrackets(request: WebRequest, brackets: Brackets): void {
  const { maxParams } = request.config;
  if (brackets.count > maxParams)
    throw BodyError.tooComplex("web.maxParams", maxParams, "brackets");
  admit(request, brackets.bytes);
}

/** Options of `qs`. */
type QueryOptions = Record<string, unknown>;

// --- The estimates: `test/hostile/estimates.test.ts` compares them with the heap of V8.

/** A param at most: its places in two hash tables, as params and as the query or body, and the headers of its texts. */
const PAIR_BYTES = 224;

/** An object or a list that a bracket in a name creates, with its first member. */
const NESTED_BYTES = 256;

/** Up to this length, flat queries take less than what is not counted anyway. */
const SHORT_LENGTH = 100;

/** Whether the memory of a query is not worth measuring. */
export function isShort(query: string, options?: QueryOptions): boolean {
  return (
    query.length <= SHORT_LENGTH && !hasBrackets(query) && !hasOptions(options)
  );
}

/** How much memory a number of pairs takes at most, without what brackets in their names create. */
export function pairBytes(count: number, text: string): number {
  return count * PAIR_BYTES + textBytes(text);
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

/** @returns -1 for a name that is no index */
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

/** Brackets of a name whose names become keys, if no option of `qs` changes it. */
const DEFAULT_DEPTH = 5;

/** Measures what the brackets in names create: `a[33]` creates an object with a list of 67 slots. */
export class Brackets {
  /** Their number. */
  count = 0;
  /** How much memory they take at most. */
  bytes = 0;
  /** The slots of each object and list, in bytes, by the start of the names that create it. */
  private readonly slots = new Map<string, number>();
  private readonly hasDots: boolean;
  private readonly hasLists: boolean;
  private readonly depth: number;

  /** @param options of `qs` */
  constructor(options?: QueryOptions) {
    this.hasDots = Boolean(options?.allowDots ?? options?.decodeDotInKeys);
    this.hasLists = Boolean(options?.comma);
    this.depth = Number(options?.depth ?? DEFAULT_DEPTH);
  }

  add(name: string, value: string): void {
    if (this.hasLists) this.addItems(value);
    this.addName(this.hasDots ? name.replace(/\.([^.[]*)/g, "[$1]") : name);
  }

  private addItems(value: string): void {
    const items = value.split(",").length - 1;
    this.count += items;
    this.bytes += items * PAIR_BYTES;
  }

  private addName(name: string): void {
    let level = 0;
    // what follows `[]` is in an item of its own, even if the name is known
    let isInNew = false;
    let open = name.indexOf("[");
    while (open !== -1) {
      this.count++;
      if (level++ <= this.depth) this.addBracket(name, open + 1, isInNew);
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
    this.bytes += after - before + (known === undefined ? NESTED_BYTES : 0);
    if (after !== known && !isNew) this.slots.set(owner, after);
  }
}

/**
 * Measure the brackets of a query before `qs` parses it, and the items of its values if `options.comma` makes them lists.
 * @param options of `qs`
 */
export function bracketsOf(query: string, options?: QueryOptions): Brackets {
  const brackets = new Brackets(options);
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
