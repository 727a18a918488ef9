/** Reads the JSON that clients send, on every transport under the same limits: those of `config.web`. */
import { settings } from "../config/settings";
import type { VerbWord } from "../connection/roomVerbs";
import {
  JsonLimitError,
  parseBoundedJson,
  type JsonLimits,
} from "../utils/boundedJson";

export { topLevelScalar } from "../utils/boundedJson";

export { JsonLimitError };

const SETTINGS: Record<keyof JsonLimits, string> = {
  maxDepth: "maxBodyDepth",
  maxKeys: "maxParams",
  maxItems: "maxArrayItems",
};

const UNITS: Record<keyof JsonLimits, string> = {
  maxDepth: "levels",
  maxKeys: "params",
  maxItems: "items",
};

/** @throws JsonLimitError before anything is parsed, SyntaxError */
export function parseJsonRequest(text: string): unknown {
  const { web } = settings();
  return parseBoundedJson(text, {
    maxDepth: web.maxBodyDepth,
    maxKeys: web.maxParams,
    maxItems: web.maxArrayItems,
  });
}

/** @throws JsonLimitError when a request that is no JSON has more params than `config.web.maxParams` */
export function refuseParams(count: number): void {
  const limit = settings().web.maxParams;
  if (count > limit) throw new JsonLimitError("maxKeys", limit);
}

/** The error for a client of a persistent connection that exceeded a limit. */
export function describeJsonLimit(error: JsonLimitError): string {
  const { exceeded, limit } = error;
  return exceeded === "maxDepth"
    ? `the request is nested more than ${limit} levels deep`
    : limitText(error);
}

/** The same for HTTP, where the text names the setting in every case. */
export function limitText({ exceeded, limit }: JsonLimitError): string {
  return `the request has too many ${UNITS[exceeded]}: web.${SETTINGS[exceeded]} is ${limit}`;
}

/** The fields of a request for a verb: the verb, and its arguments under any name. */
export interface VerbRequest {
  event?: unknown;
  messageId?: unknown;
  room?: unknown;
  [field: string]: unknown;
}

/**
 * The arguments of a verb: the room first, then all other values in order. @returns the arguments, and the fields
 * that they come from
 */
export function wordsOf(request: VerbRequest): {
  words: VerbWord[];
  fields: Record<string, unknown>;
} {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- to leave them out
  const { event, messageId, ...fields } = request;
  const words: VerbWord[] = [];
  if (fields.room) words.push(wordOf(fields.room));
  for (const key of Object.keys(fields)) {
    if (key !== "room" || !fields.room) words.push(wordOf(fields[key]));
  }
  return { words, fields };
}

function wordOf(value: unknown): VerbWord {
  return typeof value === "object" && value !== null ? value : String(value);
}
