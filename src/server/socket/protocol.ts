/** Parses the lines of socket clients, and builds the replies. Knows no sockets. */
import { serializeError } from "../../config/errorMessage";
import { isThenable } from "../../utils/promises";
import { withFields } from "../../utils/objects";
import { jsonForClients } from "../../exposure/json";
import type { VerbArgument } from "../../connection/verbs";
import { noteTextParam } from "../../input/field";
import {
  describeJsonLimit,
  JsonLimitError,
  parseJsonRequest,
  argumentsOf,
  type VerbRequest,
  refuseParams,
} from "../jsonRequest";

/** One parsed line. */
export type SocketRequest =
  | { kind: "verb"; verb: string; args: VerbArgument[] }
  | { kind: "file"; file: string | undefined }
  | {
      kind: "action";
      /** Undefined: the action of the sticky params. */
      action: unknown;
      /** Replace the sticky params. */
      params: Params | undefined;
      /** Added to the sticky params for this request only. */
      added?: Params;
    }
  | { kind: "refused"; reason: string };

type Params = { [key: string]: unknown };
type MessageId = string | number;

/** Verbs over which an action of the same name takes precedence: names of old documentation, and new verbs. */
const VERB_ALIASES: { [alias: string]: string } = {
  help: "help",
  addParam: "paramAdd",
  viewParam: "paramView",
  deleteParam: "paramDelete",
};

const NEWLINE = 10;
const OPENING_BRACE = 0x7b;
/** The first byte of a TLS connection. */
const TLS_HANDSHAKE = 0x16;
/** A client sends its id once, for any number of replies. */
const MAX_ID_LENGTH = 1024;
/** A line of a million words would cost as many objects. */
const MAX_WORDS = 16;

export interface RequestNames {
  /** The allowed verbs. */
  verbs: readonly string[];
  /** Whether an action has this name: it takes precedence over an alias. */
  isAction: (name: string) => boolean;
}

const HTTP_REQUEST = /^\n*[A-Z]+ \S+ HTTP\/\d/;
const HOST_HEADER = /^\n*host:/i;

/**
 * Detects another protocol: pages of any site can make a browser send a form or a TLS handshake to this port, and
 * the lines in it would be executed.
 * @param count the number of the line on its connection, from 1
 */
export function foreignProtocol(
  line: string,
  count: number,
): "HTTP" | "TLS" | undefined {
  if (line.charCodeAt(0) === OPENING_BRACE) return undefined; // most lines
  if (count === 1 && line.charCodeAt(0) === TLS_HANDSHAKE) return "TLS";
  const isHttp =
    HOST_HEADER.test(line) || (count === 1 && HTTP_REQUEST.test(line));
  return isHttp ? "HTTP" : undefined;
}

/** Parse a non-empty line: `file`, a verb, a JSON object, or else the name of an action. */
export function parseRequest(line: string, names: RequestNames): SocketRequest {
  const { verbs } = names;
  // with a custom delimiter, a client may still send newlines between its lines
  const text = line.includes("\n") ? withoutOuterNewlines(line) : line;
  if (text.charCodeAt(0) === OPENING_BRACE)
    return parseJsonLine(text, verbs) ?? nameOf(text);

  const first = firstWord(text);
  const rest = text.slice(first.length);
  if (first === "file") {
    const [, file] = text.split(" ", 2);
    return { kind: "file", file: file || undefined };
  }
  const verb = verbOf(first, names);
  if (verb !== undefined) {
    const args = rest === "" ? [] : wordsOf(rest.slice(1));
    return { kind: "verb", verb, args };
  }
  if (first === "") return parseIndented(text, verbs);
  return rest === "" ? nameOf(text) : withInlineParams(first, rest);
}

/** Verbs read at most two words, and `say` joins them again: the last one contains what follows. */
function wordsOf(text: string): string[] {
  const words: string[] = [];
  let start = 0;
  while (words.length < MAX_WORDS - 1) {
    const end = text.indexOf(" ", start);
    if (end === -1) break;
    words.push(text.slice(start, end));
    start = end + 1;
  }
  words.push(text.slice(start));
  return words;
}

/** JSON may begin with spaces. */
function parseIndented(text: string, verbs: readonly string[]): SocketRequest {
  const json = text.trimStart();
  const request =
    json.charCodeAt(0) === OPENING_BRACE
      ? parseJsonLine(json, verbs)
      : undefined;
  return request ?? nameOf(text);
}

/** The allowed verb that a word means; actions take precedence over aliases. */
function verbOf(
  word: string,
  { verbs, isAction }: RequestNames,
): string | undefined {
  const isAlias = Object.hasOwn(VERB_ALIASES, word);
  if (isAlias && isAction(word)) return undefined;
  const verb = isAlias ? VERB_ALIASES[word]! : word;
  return verbs.includes(verb) ? verb : undefined;
}

/** Not by `/\n+$/`, which takes quadratic time for newlines in the middle of a line. */
function withoutOuterNewlines(line: string): string {
  let start = 0;
  let end = line.length;
  while (line.charCodeAt(start) === NEWLINE) start++;
  while (end > start && line.charCodeAt(end - 1) === NEWLINE) end--;
  return line.slice(start, end);
}

function withInlineParams(action: string, text: string): SocketRequest {
  try {
    const added = parseInlineParams(text);
    return { kind: "action", action, params: undefined, added };
  } catch (error) {
    const reason =
      error instanceof JsonLimitError
        ? describeJsonLimit(error)
        : (error as SyntaxError).message;
    return { kind: "refused", reason };
  }
}

/** Any other line is the name of an action, up to its first space. */
function nameOf(text: string): SocketRequest {
  return { kind: "action", action: firstWord(text), params: undefined };
}

function firstWord(text: string): string {
  const space = text.indexOf(" ");
  return space === -1 ? text : text.slice(0, space);
}

/** @returns undefined for malformed JSON */
function parseJsonLine(
  text: string,
  verbs: readonly string[],
): SocketRequest | undefined {
  let value: { action?: unknown; params?: unknown } & VerbRequest;
  try {
    value = parseJsonRequest(text) as typeof value;
  } catch (error) {
    return error instanceof JsonLimitError
      ? { kind: "refused", reason: describeJsonLimit(error) }
      : undefined;
  }
  const { action, params, event } = value;
  const isVerb = typeof event === "string" && verbs.includes(event);
  if (isVerb && action === undefined && params === undefined)
    return { kind: "verb", verb: event, args: argumentsOf(value).args };
  return {
    kind: "action",
    action: action || undefined,
    params: isParams(params) ? params : undefined,
  };
}

function isParams(value: unknown): value is Params {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The client's own id for its request, if it is not too long. */
export function ownMessageId({ messageId }: Params): MessageId | undefined {
  if (typeof messageId === "number") return messageId;
  const isId =
    typeof messageId === "string" &&
    messageId !== "" &&
    messageId.length <= MAX_ID_LENGTH;
  return isId ? messageId : undefined;
}

/**
 * The response of an action.
 * @param hasFailed the response is an error text
 */
export function actionReply(
  response: unknown,
  messageId: MessageId,
  hasFailed: boolean,
): object {
  if (
    typeof response !== "object" ||
    response === null ||
    Array.isArray(response) ||
    response instanceof Uint8Array
  ) {
    const key = hasFailed ? "error" : "data";
    return { [key]: response, context: "response", messageId };
  }
  return withFields(response, { context: "response", messageId });
}

/** The reply to a verb. */
export function verbReply(data: unknown, messageId: MessageId): object {
  return { status: "OK", context: "response", data, messageId };
}

/** The reply to a failed request. */
export function errorReply(error: unknown, messageId: MessageId): object {
  return { error, context: "response", messageId };
}

/**
 * An encoded message.
 * @returns a promise only if the project's error serializer is async
 * @throws TypeError for values that JSON cannot represent: circular references, BigInt
 */
export function encodeMessage(message: unknown): string | Promise<string> {
  const error = (message as { error?: unknown } | null)?.error;
  if (!error || typeof message !== "object")
    return `${jsonForClients(message ?? null)}\r\n`;
  const text = serializeError("socket", error);
  if (isThenable(text))
    return Promise.resolve(text).then((settled) => encode(message, settled));
  return encode(message, text);
}

function encode(message: object | null, error: unknown): string {
  return `${jsonForClients(withFields(message, { error }))}\r\n`;
}

// --- The params after the name of an action: `greet name=Ada title="Dr. h. c."`, or a JSON object.

const FIRST_PAIR = /^[^\s="'{}[\]]+(?:\[[^\s="'{}[\]]*\])*=/;
const BRACKETS = /^[^\s="'{}[\]]+\[/;
const KEY = /^[^\s="'{}[\]]+$/;
const SPACE = /\s/;

/**
 * @param text the text after the name
 * @returns undefined if it is neither JSON nor begins with `key=`: version 29 ignores such text
 * @throws SyntaxError whose message is for the client, JsonLimitError
 */
function parseInlineParams(text: string): Params | undefined {
  const rest = text.trim();
  if (rest.startsWith("{")) return parseObject(rest);
  return FIRST_PAIR.test(rest) ? parsePairs(rest) : undefined;
}

function parseObject(text: string): Params {
  try {
    return parseJsonRequest(text) as Params;
  } catch (error) {
    if (error instanceof JsonLimitError) throw error;
    throw new SyntaxError("the params are malformed JSON", { cause: error });
  }
}

function parsePairs(text: string): Params {
  const params: Params = {};
  let count = 0;
  for (let at = 0; at < text.length;) {
    const equals = text.indexOf("=", at);
    const key = text.slice(at, equals === -1 ? undefined : equals);
    if (BRACKETS.test(key))
      throw new SyntaxError(
        `params with brackets are JSON, as in name {"list": [1]}: ${shown(text.slice(at))}`,
      );
    if (equals === -1 || !KEY.test(key))
      throw new SyntaxError(
        `params are key=value, with quotes around values that have spaces: ${shown(text.slice(at))}`,
      );
    refuseParams(++count);
    const { value, end } = readValue(text, equals + 1);
    if (key !== "__proto__") {
      params[key] = value;
      noteTextParam(params, key);
    }
    at = end;
    while (at < text.length && SPACE.test(text[at]!)) at++;
  }
  return params;
}

/**
 * A value ends at the next space, or, if it begins with a quote, at the closing quote; within quotes, a backslash
 * escapes any character.
 */
function readValue(
  text: string,
  start: number,
): { value: string; end: number } {
  const quote = text[start];
  if (quote !== '"' && quote !== "'") {
    let end = start;
    while (end < text.length && !SPACE.test(text[end]!)) end++;
    return { value: text.slice(start, end), end };
  }
  const characters: string[] = [];
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === quote) {
      if (at + 1 < text.length && !SPACE.test(text[at + 1]!)) break;
      return { value: characters.join(""), end: at + 1 };
    }
    if (text[at] === "\\") at++;
    characters.push(text[at] ?? "");
  }
  throw new SyntaxError(`a quote is not closed: ${shown(text.slice(start))}`);
}

function shown(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}
