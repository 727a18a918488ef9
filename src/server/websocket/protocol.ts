/** The wire format of Primus, as data: what a frame's text means, and the texts of what is sent. Knows no sockets. */
import { jsonForClients } from "../../log/clientJson";
import { JsonLimitError, parseJsonRequest } from "../jsonRequest";

/** What a client asks for, before anything of it is checked. */
export interface Request {
  event?: unknown;
  messageId?: unknown;
  room?: unknown;
  params?: unknown;
  file?: unknown;
  [field: string]: unknown;
}

const CONTROL = "primus::";

/** Tells a client that this end is for good: it does not reconnect. */
export const CLOSE_NOTICE = JSON.stringify("primus::server::close");

export const PONG = "primus::pong::";
export const ID = "primus::id::";

/**
 * What a client sent.
 * @returns a request; a control message (`"primus::..."`); undefined for what is neither, which is ignored
 * @throws JsonLimitError
 */
export function decode(text: string): Request | string | undefined {
  let value: unknown;
  try {
    value = parseJsonRequest(text);
  } catch (error) {
    if (error instanceof JsonLimitError) throw error;
    return undefined;
  }
  if (typeof value === "string")
    return value.startsWith(CONTROL) ? value : undefined;
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return undefined;
  return value as Request;
}

/**
 * JSON that is also JavaScript: two line separators are only allowed in the former.
 * @throws TypeError for what JSON cannot express
 */
export function encode(value: unknown): string {
  const text = jsonForClients(value) ?? "null";
  return /[\u2028\u2029]/.test(text)
    ? text.replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029")
    : text;
}

/** Asks for a sign of life. */
export function pingText(now: number): string {
  return JSON.stringify(`primus::ping::${now}`);
}

/** Answers the question for a client's id on this socket. */
export function idText(id: string): string {
  return JSON.stringify(ID + id);
}

/**
 * The words of a verb: the room first, then all other values in the order in which they came.
 * @returns words, and the fields that they were made from
 */
export function wordsOf(request: Request): {
  words: string[];
  fields: Record<string, unknown>;
} {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- to leave them out
  const { event, messageId, ...fields } = request;
  const words: string[] = [];
  if (fields.room) words.push(word(fields.room));
  for (const key of Object.keys(fields)) {
    if (key !== "room" || !fields.room) words.push(word(fields[key]));
  }
  return { words, fields };
}

function word(value: unknown): string {
  return typeof value === "object" && value !== null
    ? JSON.stringify(value)
    : String(value);
}
