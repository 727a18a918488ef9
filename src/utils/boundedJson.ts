/** Parses untrusted JSON: its structure is measured in the text, before a parser creates objects. */
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

// codes of characters
export const SPACE = 32;
export const QUOTE = 34;
export const COMMA = 44;
export const COLON = 58;
export const OPEN_LIST = 91;
export const BACKSLASH = 92;
const CLOSE_LIST = 93;
export const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

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
