/** Warns of responses with fields that clients of persistent connections use themselves. */
import type { Action } from "../action/action";
import type { ActionProcessor } from "../action/actionProcessor";
import { settings } from "../config/settings";
import { log } from "../log/log";

const FIELDS = ["messageId", "context"];

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
