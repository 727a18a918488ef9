/** The wire format, as data: what the text of a message means, the fields of replies, and frames. Knows no sockets. */
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

/** What is sent: the fields of version 29, in its order. */
export type Message = { [field: string]: unknown };

/**
 * The message as it is sent, with `context` and `messageId`; a message for many members of a room has all it needs and
 * is the same object, so that it is encoded once.
 */
export function completed(message: Message, messageId: unknown): Message {
  const { context, error } = message;
  if (context && context !== "response" && !error) return message;
  const copy: Message = { ...(ownForm(message) as Message) };
  if (!copy.context) copy.context = "response";
  if (copy.context === "response" && !copy.messageId)
    copy.messageId = messageId;
  return copy;
}

/**
 * The response of an action with the id of its request, whatever the action calls so: the client finds its call by it.
 * @param isError for a response that is no object
 */
export function answering(
  response: unknown,
  messageId: unknown,
  isError: boolean,
): Message {
  const given = Buffer.isBuffer(response) ? response : ownForm(response);
  const answer = asObject(given, isError);
  if (!("messageId" in answer) && !("context" in answer)) return answer;
  return { ...answer, messageId };
}

/** What an object says that JSON is made of. */
function ownForm(value: unknown): unknown {
  const { toJSON } = (value ?? {}) as { toJSON?: unknown };
  return typeof toJSON === "function"
    ? (toJSON as () => unknown).call(value)
    : value;
}

/** A response that is no object: the client needs one, to know what it answers. */
function asObject(response: unknown, isError: boolean): Message {
  if (
    typeof response === "object" &&
    response !== null &&
    !Array.isArray(response) &&
    !Buffer.isBuffer(response)
  )
    return response as Message;
  return isError ? { error: response } : { data: response };
}

export function verbSuccess(data: unknown): Message {
  return { status: "OK", context: "response", data };
}

export function verbFailure(
  error: unknown,
  fields: Record<string, unknown>,
): Message {
  const text = String(error);
  return { status: text, error: text, context: "response", data: fields };
}

const FINAL_TEXT = 0x81;

/**
 * A text message as one unmasked, uncompressed frame (RFC 6455), made without `ws`, so that many clients share the buffer.
 * The bytes must not be changed afterwards.
 */
export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const offset = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(offset + length);
  frame[0] = FINAL_TEXT;
  if (offset === 2) frame[1] = length;
  else if (offset === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeUInt32BE(Math.floor(length / 2 ** 32), 2);
    frame.writeUInt32BE(length % 2 ** 32, 6);
  }
  // as many bytes as characters: ASCII, for which latin1 is the quicker way
  if (length === text.length) frame.write(text, offset, "latin1");
  else frame.write(text, offset, "utf8");
  return frame;
}
