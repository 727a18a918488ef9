/**
 * The spans of actions. A file of its own: the types of the package lead to report.ts, and must not need OpenTelemetry.
 */
import { IN_LINE } from "../api";
import type { Action } from "./action";
import { ActionsStatus } from "./status";
import type { Tracer } from "../tracing/tracer";
import type { ActionProcessor } from "./actionProcessor";

/** The transport whose spans are named by routes and have the status of the response. */
const WEB = "web";

/** Run an action with a span around it. */
export function traceAction<T>(
  tracer: Tracer,
  { connection }: ActionProcessor,
  run: () => T,
): T {
  const attributes = { "actionhero.transport": connection.type };
  return tracer.run({ name: "action", attributes }, run);
}

/** The action is found: from here on its spans have its name. */
export function traceName(
  tracer: Tracer,
  { connection, action, actionTemplate }: ActionProcessor,
): void {
  tracer.describe(`action ${action}`, {
    "actionhero.action.name": action!,
    "actionhero.action.version": `${(actionTemplate as Action).version ?? ""}`,
  });
  if (connection.type === WEB || connection.type === IN_LINE) return;
  const method = `action/${action}`;
  tracer.entry()?.describe(method, { "rpc.method": method });
}

/** The action has ended. */
export function traceOutcome(
  tracer: Tracer,
  { connection, actionStatus }: ActionProcessor,
  error: unknown,
): void {
  const status = ActionsStatus[actionStatus!];
  tracer.set({ "actionhero.action.status": status });
  if (actionStatus === ActionsStatus.Complete) return;
  const isOfServer =
    actionStatus === ActionsStatus.GenericError ||
    actionStatus === ActionsStatus.TimedOut;
  if (!isOfServer) return tracer.set({ "error.type": status });
  tracer.fail(error);
  if (connection.type === WEB || connection.type === IN_LINE) return;
  tracer.failEntry(error);
}
