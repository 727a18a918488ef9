/** Finds the action that a request names, and decides whether it may run now. */
import { api, IN_LINE } from "../api";
import { settings } from "../config/settings";
import type { Connection } from "../connection/connection";
import { nameAction } from "../context/context";
import type { TextParams } from "../input/field";
import type { Overload } from "../overload/overload";
import { tracing } from "../tracing/tracer";
import type { Action } from "./action";
import type { ActionProcessor } from "./actionProcessor";
import { countRequest } from "./rateLimit";
import { latestVersion } from "./registry";
import { traceName } from "./spans";
import { ActionsStatus } from "./status";

/** The part of a server that actions need; servers of plugins may be objects without a base class. */
interface TransportOfActions {
  hasAnswered(connection: Connection, messageId: string | number): boolean;
  textParams(connection: Connection, params: object): TextParams;
  refusesActions(): boolean;
}

/** The server of a connection; in-line actions have none. */
export function serverOf({
  type,
}: Connection): Partial<TransportOfActions> | undefined {
  return api.servers?.servers[type];
}

/** Set `data.action`, and `data.actionTemplate` if there is such an action. */
export function findAction(
  data: ActionProcessor,
  actionName?: string,
  apiVersion?: string | number,
): void {
  const params = data.params as Record<string, unknown>;
  data.action = actionName || (params.action as string | null);
  const { action } = data;
  // own properties only: a client may request the action "constructor"
  if (typeof action !== "string" || !Object.hasOwn(api.actions.actions, action))
    return;
  const versions = api.actions.actions[action]!;
  const version: unknown =
    apiVersion || params.apiVersion || latestVersion(action);
  // a client may send an object, which may not be convertible to a key
  if (typeof version !== "string" && typeof version !== "number") return;
  if (!params.apiVersion) params.apiVersion = version;
  if (!Object.hasOwn(versions, version)) return;
  data.actionTemplate = versions[version];
  nameAction(data.connection, action);
  if (tracing.tracer) traceName(tracing.tracer, data);
}

/** The reason for refusing the action, or undefined. */
export function refusalOf(data: ActionProcessor): ActionsStatus | undefined {
  const { connection } = data;
  const actionTemplate = data.actionTemplate as Action | null;
  if (api.running !== true || isRefusing(connection))
    return ActionsStatus.ServerShuttingDown;
  const limit = settings().general.simultaneousActions;
  if (connection.pendingActions > limit) return ActionsStatus.TooManyRequests;
  if (!actionTemplate) return ActionsStatus.UnknownAction;
  if (actionTemplate.blockedConnectionTypes?.includes(connection.type))
    return ActionsStatus.UnsupportedServerType;
  const { overload } = api;
  if (overload?.isOverloaded !== true || connection.type === IN_LINE)
    return undefined;
  overload.noteRefusal();
  return ActionsStatus.Overloaded;
}

/** Persistent servers drain gradually; in-line actions, which have no server, may run until the end. */
function isRefusing(connection: Connection): boolean {
  return serverOf(connection)?.refusesActions?.() === true;
}

/**
 * Middleware counts actions for `general.rateLimit`; actions that cannot run are counted here.
 * @returns the error of a client over its limit
 */
export function countRefused(
  connection: Connection,
  status: ActionsStatus,
): Promise<unknown> | undefined {
  if (
    status !== ActionsStatus.UnknownAction &&
    status !== ActionsStatus.UnsupportedServerType
  )
    return undefined;
  return countRequest(connection)?.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Count an action for `general.overload` while it runs; in-line actions are part of their caller. */
export function countAsRunning({ type }: Connection): Overload | undefined {
  const { overload } = api;
  if (!overload || type === IN_LINE) return undefined;
  overload.enter();
  return overload;
}
