/** Reads the JSON that clients send, on every transport under the same limits: those of `config.web`. */
import type { Action } from "../action/action";
import type { ActionProcessor } from "../action/actionProcessor";
import { config } from "../config/config";
import { settings } from "../config/settings";
import type { VerbArgument } from "../connection/verbs";
import { jsonForClients } from "../exposure/json";
import { log } from "../log/log";
import {
  JsonLimitError,
  type JsonLimits,
  parseBoundedJson,
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

/** @throws JsonLimitError before anything is parsed, SyntaxError without a part of the text */
export function parseJsonRequest(text: string): unknown {
  const { web } = settings();
  try {
    return parseBoundedJson(text, {
      maxDepth: web.maxBodyDepth,
      maxKeys: web.maxParams,
      maxItems: web.maxArrayItems,
    });
  } catch (error) {
    throw error instanceof SyntaxError ? withoutExcerpt(error) : error;
  }
}

/** V8 quotes what is near the fault, which may be a secret. */
function withoutExcerpt({ message }: SyntaxError): SyntaxError {
  const place = / at position \d+/.exec(message)?.[0];
  const end = message.includes("end of JSON") ? " at its end" : "";
  return new SyntaxError(`the JSON is malformed${place ?? end}`);
}

/** @throws JsonLimitError when a request that is not JSON has more params than `config.web.maxParams` */
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

/** The error for an HTTP client that exceeded a limit; it always names the setting. */
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
export function argumentsOf(request: VerbRequest): {
  args: VerbArgument[];
  fields: Record<string, unknown>;
} {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- to leave them out
  const { event, messageId, ...fields } = request;
  const args: VerbArgument[] = [];
  if (fields.room) args.push(argumentOf(fields.room));
  for (const key of Object.keys(fields)) {
    if (key !== "room" || !fields.room) args.push(argumentOf(fields[key]));
  }
  return { args, fields };
}

function argumentOf(value: unknown): VerbArgument {
  return typeof value === "object" && value !== null ? value : String(value);
}

// --- The fields that clients of persistent connections find their calls by, around what an action responds.

const FIELDS = ["messageId", "context"];

const OPENING_BRACE = 0x7b;

/** Actions that were already reported. */
const warnedActions = new WeakSet<object>();

/** A warning in development, once for each action. */
export function warnOfEnvelope({
  action,
  actionTemplate,
  response,
}: ActionProcessor): void {
  if (!actionTemplate || config.process.env !== "development") return;
  if (typeof response !== "object" || response === null) return;
  const fields = FIELDS.filter((field) => field in (response as object));
  if (fields.length === 0 || warnedActions.has(actionTemplate as Action))
    return;
  warnedActions.add(actionTemplate as Action);
  const names = fields.join(" and ");
  log(
    `the response of ${action} has ${names}: websocket and TCP clients use this field to match responses, so createClient removes it`,
    "warning",
  );
}

/**
 * The encoded reply to an action, for a plain object without an error: concatenated as text, because copying the
 * response to add two keys costs as much as encoding it (bench/tcp.ts, 16 in flight; bench/websocket.ts).
 * @param messageId any JSON value
 * @returns undefined for any other response
 * @throws TypeError for values that JSON cannot represent: circular references, BigInt
 */
export function encodePlainReply(
  response: unknown,
  messageId: unknown,
): string | undefined {
  if (typeof response !== "object" || response === null) return undefined;
  if (Object.getPrototypeOf(response) !== Object.prototype) return undefined;
  if ("error" in response || "context" in response || "messageId" in response)
    return undefined;
  const text = jsonForClients(response);
  if (text === undefined || text.charCodeAt(0) !== OPENING_BRACE)
    return undefined; // it has a toJSON method
  const id =
    typeof messageId === "number" && Number.isFinite(messageId)
      ? messageId
      : JSON.stringify(messageId);
  const comma = text.length > 2 ? "," : "";
  return `${text.slice(0, -1)}${comma}"context":"response","messageId":${id}}`;
}
