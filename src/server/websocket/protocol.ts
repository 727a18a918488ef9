/** The wire format: parsing of messages, fields of replies, and frames. Knows no sockets. */
import { jsonForClients } from "../../exposure/json";
import { JsonLimitError, parseJsonRequest } from "../jsonRequest";
import { withFields } from "../../utils/objects";

/** The request of a client, not yet validated. */
export interface Request {
  event?: unknown;
  messageId?: unknown;
  room?: unknown;
  params?: unknown;
  file?: unknown;
  [field: string]: unknown;
}

/** RFC 6455, section 7.4.1, and the codes that IANA has added. */
export enum CloseCode {
  GoingAway = 1001,
  PolicyViolation = 1008,
  MessageTooBig = 1009,
  InternalError = 1011,
  TryAgainLater = 1013,
}

const CONTROL = "primus::";

/** Tells a client that the end is permanent, so that it does not reconnect. */
export const CLOSE_NOTICE = JSON.stringify("primus::server::close");

export const ID = "primus::id::";

/**
 * Parses a message of a client.
 * @returns a request; a control message (`"primus::..."`); undefined for anything else, which is ignored
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
 * JSON that is also valid JavaScript.
 * @throws TypeError for values that JSON cannot represent
 */
export function encode(value: unknown): string {
  return escapeSeparators(jsonForClients(value) ?? "null");
}

/** Two line separators are allowed in JSON, but not in JavaScript. */
export function escapeSeparators(text: string): string {
  return /[\u2028\u2029]/.test(text)
    ? text.replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029")
    : text;
}

/** The ping message. */
export function pingText(now: number): string {
  return JSON.stringify(`primus::ping::${now}`);
}

/** The reply to a request for the client's id on this socket. */
export function idText(id: string): string {
  return JSON.stringify(ID + id);
}

/** A reply with the fields of version 29, in its order. */
export type Message = { [field: string]: unknown };

/**
 * The message with `context` and `messageId`; a message for many members of a room is complete and is returned
 * unchanged, so that it is encoded once.
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
 * The response of an action with the id of its request, even if the action returns such a field: the client matches
 * its call by it.
 * @param isError for a response that is not an object
 */
export function actionMessage(
  response: unknown,
  messageId: unknown,
  isError: boolean,
): Message {
  const given = Buffer.isBuffer(response) ? response : ownForm(response);
  const reply = asObject(given, isError);
  if (!("messageId" in reply) && !("context" in reply)) return reply;
  return withFields(reply, { messageId });
}

/** The result of an object's toJSON. */
function ownForm(value: unknown): unknown {
  const { toJSON } = (value ?? {}) as { toJSON?: unknown };
  return typeof toJSON === "function"
    ? (toJSON as () => unknown).call(value)
    : value;
}

/** Wraps a response that is not an object, because the client needs the message id. */
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
 * A text message as one unmasked, uncompressed frame (RFC 6455), built without `ws`, so that many clients share the
 * buffer. The bytes must not be modified afterwards.
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
  // equal length means ASCII, for which latin1 is faster
  if (length === text.length) frame.write(text, offset, "latin1");
  else frame.write(text, offset, "utf8");
  return frame;
}
