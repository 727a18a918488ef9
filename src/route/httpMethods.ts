/** The HTTP methods that actions accept: `httpMethods` restricts automatic routes and `?action=`. */
import type { Action } from "../action/action";
import { latestVersion } from "../action/registry";
import { api } from "../api";
import { routerMethods, type RouteMethod, type RouteType } from "./types";

/** The methods that a client can send, without `all`. */
export const requestMethods = routerMethods.filter(
  (method) => method !== "all",
);

/** Automatic routes of actions with versions that refuse the method: checked per request, by version. */
const undecided = new WeakSet<RouteType>();
/** Whether there is any: most requests then need no look-up. */
let isAnyUndecided = false;

/** Whether an action has no `httpMethods`, or this one is among them; `get` includes `head`. */
export function takesMethod(template: Action, verb: string): boolean {
  const { httpMethods } = template as { httpMethods?: readonly string[] };
  if (!Array.isArray(httpMethods)) return true;
  return httpMethods.some((method: string) => {
    const name = method.toLowerCase();
    return name === verb || (name === "get" && verb === "head");
  });
}

/** The route of an action for a method, or undefined when no version of the action accepts it. */
export function automaticRoute(
  action: string,
  verb: string,
): RouteType | undefined {
  const versions = Object.values(api.actions.actions[action]!);
  const accepting = versions.filter((template) => takesMethod(template, verb));
  if (accepting.length === 0) return undefined;
  const route: RouteType = {
    path: `/${action}`,
    matchTrailingPathParts: false,
    action,
    dir: undefined,
    apiVersion: null!, // as in v29
  };
  if (action.includes(":")) route.literal = true;
  if (accepting.length < versions.length) {
    undecided.add(route);
    isAnyUndecided = true;
  }
  return route;
}

/**
 * Whether the version of the action that the params name accepts the method. A route of the project is always
 * accepted, because it names its method.
 */
export function isMethodAccepted(
  {
    params,
    matchedRoute,
  }: { params: { [key: string]: any }; matchedRoute?: RouteType },
  method: string,
): boolean {
  if (
    matchedRoute !== undefined &&
    !(isAnyUndecided && undecided.has(matchedRoute))
  )
    return true;
  const name: unknown = params.action;
  if (typeof name !== "string" || !Object.hasOwn(api.actions.actions, name))
    return true; // an unknown action, which is refused later
  const version: unknown = params.apiVersion || latestVersion(name);
  if (typeof version !== "string" && typeof version !== "number") return true;
  const versions = api.actions.actions[name]!;
  return (
    !Object.hasOwn(versions, version) ||
    takesMethod(versions[version]!, method.toLowerCase())
  );
}

export function isRouteMethod(verb: unknown): verb is RouteMethod {
  return (routerMethods as readonly unknown[]).includes(verb);
}
