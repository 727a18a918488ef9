/**
 * The methods that a path and an action accept: `?action=`, 405 and `Allow` (RFC 9110 sections 10.2.1 and 15.5.6).
 */
import { api } from "../../api";
import type { Connection } from "../../connection/connection";
import {
  isMethodAccepted,
  isRouteMethod,
  requestMethods,
} from "../../route/registry";
import type { RouteType } from "../../route/tables";
import type { WebSettings } from "../../config/settings";
import type { WebRequest } from "./webRequest";

/** The methods of files, unless a route to a folder declares another one. */
export const FILE_METHODS = ["get", "head"] as const;

/**
 * Whether `?action=` may name this action: where no route matches, for the bare prefix (or for every path, with
 * `queryRouting`), and only an action that has a route for the method anyway (or any, with `queryRouting`).
 */
export function mayNameAction(
  connection: Connection,
  request: WebRequest,
  name: string,
): boolean {
  const { config, method } = request;
  if (!isActionOpen(connection, request)) return false;
  return config.queryRouting || hasRoute(name, method.toLowerCase(), config);
}

/** Whether the params select the action: no route matches, and the path allows it. */
export function isActionOpen(
  { matchedRoute }: Connection,
  { target, config }: WebRequest,
): boolean {
  return (
    matchedRoute === undefined &&
    (target.pathParts.length === 0 || config.queryRouting)
  );
}

/** For a request without an action: 405 with `Allow` if the path accepts other methods. */
export function refuseMethod(
  connection: Connection,
  request: WebRequest,
  named: unknown,
): void {
  const allowed = acceptedMethods(connection, request, named);
  if (allowed.length === 0) return;
  connection.otherMethods = allowed.map((verb) => verb.toUpperCase());
  if (request.config.returnErrorCodes) request.responseHttpCode = 405;
  request.responseHeaders.push(["Allow", allowHeader(allowed)]);
}

/** `GET, HEAD, OPTIONS`; every path accepts OPTIONS. */
export function allowHeader(verbs: readonly string[]): string {
  return [...verbs, "options"].map((verb) => verb.toUpperCase()).join(", ");
}

/** The methods with which the same request would reach an action. */
function acceptedMethods(
  { matchedRoute, params: { apiVersion } }: Connection,
  { target: { pathParts }, config }: WebRequest,
  named: unknown,
): string[] {
  const routed: readonly string[] = api.routes.methodsFor(pathParts);
  const name = nameIn(named, pathParts, config);
  const action = (matchedRoute as RouteType | undefined)?.action ?? name;
  return requestMethods.filter((verb) => {
    const isRouted =
      routed.includes(verb) ||
      (name !== undefined &&
        (config.queryRouting || hasRoute(name, verb, config)));
    const params = { action, apiVersion: apiVersion as unknown };
    return isRouted && isMethodAccepted({ params }, verb);
  });
}

/** The action that `?action=` names, if it exists and the path leaves the choice to it. */
function nameIn(
  named: unknown,
  pathParts: readonly string[],
  { queryRouting }: WebSettings,
): string | undefined {
  if (pathParts.length > 0 && !queryRouting) return undefined;
  const exists =
    typeof named === "string" && Object.hasOwn(api.actions.actions, named);
  return exists ? named : undefined;
}

function hasRoute(
  action: string,
  verb: string,
  { automaticRoutes }: WebSettings,
): boolean {
  const wanted = verb === "head" ? ["all", "head", "get"] : ["all", verb];
  if (automaticRoutes.some((automatic) => wanted.includes(automatic)))
    return true;
  return isRouteMethod(verb) && api.routes.hasRoute(action, verb);
}
