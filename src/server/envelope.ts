/** The fields that clients of persistent connections find their calls by, around what an action responds. */
import type { Action } from "../action/action";
import type { ActionProcessor } from "../action/actionProcessor";
import { settings } from "../config/settings";
import { jsonForClients } from "../log/clientJson";
import { log } from "../log/log";

const FIELDS = ["messageId", "context"];

const OPENING_BRACE = 0x7b;

/** Actions that were already reported. */
const warned = new WeakSet<object>();

/** A warning in development, once for each action. */
export function warnOfEnvelope({
  action,
  actionTemplate,
  response,
}: ActionProcessor): void {
  if (!actionTemplate || !settings().general.developmentMode) return;
  if (typeof response !== "object" || response === null) return;
  const fields = FIELDS.filter((field) => field in (response as object));
  if (fields.length === 0 || warned.has(actionTemplate as Action)) return;
  warned.add(actionTemplate as Action);
  const names = fields.join(" and ");
  log(
    `the response of ${action} has ${names}, by which clients over websocket and TCP find their calls: createClient never gives it to them`,
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
