/** The query of a request, and `connection.params`: filled from the query, files and fields, of which later ones override earlier ones. */
import type { Connection } from "../../connection/connection";
import type { FormValues, TextParams } from "../../input/field";
import { rememberIndexes } from "../../input/coercion";
import { JsonLimitError, limitText, parseJsonRequest } from "../jsonRequest";
import { BodyError } from "./bodyRefusal";
import type { ParsedBody } from "./body";
import { parseContentType } from "./contentType";
import {
  type BracketLimits,
  type Brackets,
  bracketsOf,
  documentBytes,
  hasBrackets,
  hasOptions,
  indexedBytes,
  isShortQuery,
  pairBytes,
} from "../estimates";
import type { WebRequest } from "./webRequest";
import type * as qs from "qs";

/** A query or form may take this much when it is parsed, or this many times its length, in bytes. */
const MAX_PARSED_BYTES = 2 * 1024 * 1024;
const MAX_PARSED_RATIO = 128;

/**
 * Measure the query, which is parsed when the body has arrived: a slow client holds only its text.
 * @throws BodyError when it has more params than `config.web.maxParams`, or they would take too much memory
 */
export function checkQuery(request: WebRequest): void {
  const { target, config } = request;
  if (target.search.length < 2) return;
  const search = target.search.slice(1);
  const { maxParams } = config;
  if (search.length > maxParams && countPairs(search) > maxParams)
    throw BodyError.tooComplex("web.maxParams", maxParams, "params");
  if (isShortQuery(search, config.queryParseOptions)) return;
  const brackets = bracketsOf(search, config);
  checkBrackets(request, brackets, search.length);
  request.queryBytes = pairBytes(countPairs(search), search) + brackets.bytes;
}

/** After `checkQuery`. @throws BodyError when there is no memory */
export function fillFromQuery(
  connection: Connection,
  request: WebRequest,
): void {
  const { target, config, params } = request;
  if (target.search.length < 2) {
    params.query = {};
    return;
  }
  if (request.queryBytes > 0) request.reserve(request.queryBytes);
  const query = parseQuery(target.search.slice(1), config);
  params.query = query;
  assign(connection.params, query, request);
}

/** The param `action` of the query, before all of it is taken. */
export function actionInQuery({ target, config }: WebRequest): unknown {
  return parseQuery(target.search.slice(1), config).action;
}

/** Before the objects and lists that the brackets create, as for a query. @throws BodyError */
export function reserveBrackets(
  request: WebRequest,
  brackets: Brackets,
  length: number,
): void {
  checkBrackets(request, brackets, length);
  request.reserve(brackets.bytes);
}

/**
 * @param length of all names and values
 * @throws BodyError when there are more than `config.web.maxParams`, or more levels than `config.web.maxBodyDepth`
 */
function checkBrackets(
  { config: { maxParams, maxBodyDepth } }: WebRequest,
  { count, bytes, isTooDeep }: Brackets,
  length: number,
): void {
  if (count > maxParams)
    throw BodyError.tooComplex("web.maxParams", maxParams, "brackets");
  if (isTooDeep)
    throw BodyError.tooComplex("web.maxBodyDepth", maxBodyDepth, "levels");
  const limit = Math.max(MAX_PARSED_BYTES, length * MAX_PARSED_RATIO);
  if (bytes > limit) throw BodyError.inflatedNames(limit);
}

/** Take the params of a parsed body. */
export function fillFromBody(
  connection: Connection,
  request: WebRequest,
  { body, files }: ParsedBody,
): void {
  const { params } = request;
  params.body = body as unknown;
  params.files = files;
  request.form = { fields: body as unknown, files };
  if (files) assign(connection.params, files, request);
  if (typeof body === "object" && body !== null)
    assign(connection.params, body as Query, request);
}

/** Params under indexes are in the parsed query or body, too. */
const INDEXED_COPIES = 2;

/** A list, or an object that is one in disguise, becomes one param: `payload`. */
function assign(params: Query, source: Query, request: WebRequest): void {
  if (isList(source)) {
    params.payload = Array.isArray(source) ? source : Object.values(source);
    return;
  }
  const keys = Object.keys(source);
  const indexed = indexedBytes(keys);
  if (indexed > 0) request.reserve(indexed * INDEXED_COPIES);
  for (const key of keys) {
    if (key !== "__proto__") params[key] = source[key] as unknown;
  }
}

/** Keys that are exactly "0" to "n-1" (objects keep such keys in order). */
function isList(source: Query): boolean {
  if (Array.isArray(source)) return true;
  if (!Object.hasOwn(source, "0")) return false;
  return Object.keys(source).every((key, index) => key === String(index));
}

const ALL: TextParams = { has: () => true };

/** The fields of one name in a form: several, or JSON. */
export interface SentFields {
  texts: readonly string[];
  /** All of them were parts of the type `application/json`. */
  areJson: boolean;
}

/** Parsed only where a schema asks for it: texts of JSON stay texts for other actions. */
class SentValues implements FormValues {
  constructor(
    private readonly request: WebRequest,
    private readonly fields: SentFields,
  ) {}

  texts(): readonly string[] {
    const { texts } = this.fields;
    const { maxArrayItems } = this.request.config;
    if (texts.length > maxArrayItems)
      throw BodyError.tooComplex("web.maxArrayItems", maxArrayItems, "items");
    return texts;
  }

  json(isForObject: boolean): readonly unknown[] | undefined {
    const { areJson } = this.fields;
    if (!areJson && !isForObject) return undefined;
    const texts = this.texts();
    if (!areJson && texts.some((text) => text[0] !== "{")) return undefined;
    try {
      return texts.map((text) => parseJsonField(text, this.request));
    } catch (error) {
      if (error instanceof SyntaxError) return undefined; // the schema refuses the text
      throw error;
    }
  }
}

/** Under the limits of a body of JSON. @throws BodyError, SyntaxError */
function parseJsonField(text: string, request: WebRequest): unknown {
  const { maxJsonSize } = request.config;
  const bytes = Buffer.from(text);
  if (maxJsonSize !== undefined && bytes.length > maxJsonSize)
    throw BodyError.tooLarge("web.maxJsonSize", maxJsonSize);
  request.reserve(documentBytes(bytes));
  try {
    return parseJsonRequest(text);
  } catch (error) {
    throw error instanceof JsonLimitError
      ? new BodyError(400, limitText(error))
      : error;
  }
}

/** The params of a request that are strings: all but those of a JSON body, unless the path sets them. */
export function textParamsOf({ rawConnection }: Connection): TextParams {
  const request = rawConnection as WebRequest;
  const { req, params, routed } = request;
  const body: unknown = params.body;
  const type = req.headers["content-type"];
  const { sentFields } = request;
  if (sentFields)
    return {
      has: () => true,
      ofForm(name) {
        const fields = sentFields.get(name);
        return fields && new SentValues(request, fields);
      },
    };
  if (typeof body !== "object" || body === null || type === undefined)
    return ALL;
  if (parseContentType(type).kind !== "json") return ALL;
  // a list is the param `payload`
  if (Array.isArray(body)) return without("payload");
  return {
    has: (name) => !Object.hasOwn(body, name) || Object.hasOwn(routed, name),
  };
}

function without(typed: string): TextParams {
  return { has: (name) => name !== typed };
}

// --- Query strings, parsed as by `qs`; flat ones, which are the most common, without it.

export type Query = { [key: string]: any };

/** Loaded by the first query that needs it, because its many modules would slow down the boot. */
let qsModule: typeof qs | undefined;

/** The caller limits the number of params, so that none is silently dropped here. */
const QS_PARAMETER_LIMIT = 100_000;

/** The options of the parser; the caller limits the levels, too. */
export type QueryConfig = Pick<
  BracketLimits,
  "queryParseOptions" | "maxBodyDepth"
>;

/**
 * @param query without its `?`
 * @param config with options of `qs`, it is used for any query
 */
export function parseQuery(query: string, config: QueryConfig): Query {
  if (query === "") return {};
  const flat = hasOptions(config.queryParseOptions)
    ? undefined
    : parseFlat(query);
  return flat ?? nestNames(query, config);
}

/** Objects and lists of a query, or of fields, whose names have brackets. */
export function nestNames(
  source: string | Record<string, string | string[]>,
  { queryParseOptions: options, maxBodyDepth }: QueryConfig,
): Query {
  qsModule ??= require("qs") as typeof qs;
  const parsed = qsModule.parse(source as string, {
    parameterLimit: QS_PARAMETER_LIMIT,
    depth: maxBodyDepth,
    // a key such as `toString` is an own property, as in JSON; `__proto__` is always dropped
    allowPrototypes: true,
    allowSparse: true,
    ...(options as qs.IParseOptions),
  });
  if (options?.allowSparse !== true) closeGaps(parsed);
  return parsed;
}

/**
 * Close the gaps of lists whose indexes are not consecutive. The indexes are remembered, because they are the keys where a
 * schema asks for an object.
 */
function closeGaps(parsed: object): void {
  const left: object[] = [parsed];
  for (let next = left.pop(); next; next = left.pop()) {
    if (Array.isArray(next)) closeGapsOf(next);
    for (const member of Object.values(next) as unknown[])
      if (typeof member === "object" && member !== null) left.push(member);
  }
}

function closeGapsOf(list: unknown[]): void {
  const keys = Object.keys(list);
  if (keys.length === list.length) return;
  keys.forEach((key, position) => (list[position] = list[Number(key)]));
  list.length = keys.length;
  rememberIndexes(list, keys);
}

/** The number of `key=value` pairs in a query string. */
export function countPairs(query: string): number {
  let count = query === "" ? 0 : 1;
  for (let at = query.indexOf("&"); at !== -1; at = query.indexOf("&", at + 1))
    count++;
  return count;
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
      if (key !== "" && key !== "__proto__")
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
