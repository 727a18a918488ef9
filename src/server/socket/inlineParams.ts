/** Parses the params after the name of an action: `greet name=Ada title="Dr. h. c."`, or a JSON object. */
import { noteTextParam } from "../../connection/textParams";
import { JsonLimitError, parseJsonRequest, refuseParams } from "../jsonRequest";

type Params = { [key: string]: unknown };

const FIRST_PAIR = /^[^\s="'{}[\]]+=/;
const KEY = /^[^\s="'{}[\]]+$/;
const SPACE = /\s/;

/**
 * @param text the text after the name
 * @returns undefined if it is neither JSON nor begins with `key=`: version 29 ignores such text
 * @throws SyntaxError whose message is for the client, JsonLimitError
 */
export function parseInlineParams(text: string): Params | undefined {
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
