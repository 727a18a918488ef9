/** Adds routes to the tables, and records the origin of each. */
import { api } from "../api";
import { ActionheroError, toError } from "../errors";
import { recordOf } from "../utils/objects";
import { compilePath } from "./matchUrl";
import {
  routerMethods,
  type RouteMethod,
  type RouteTables,
  type RouteType,
} from "./types";

/** `config.routes`, the `route` of an action, `config.web.automaticRoutes`, or code that called `route.registerRoute`. */
export type RouteSource = "config" | "action" | "automatic" | "code";

const sources = new WeakMap<RouteType, RouteSource>();

/** Routes that were added to the tables by hand count as code. */
export function routeSource(route: RouteType): RouteSource {
  return sources.get(route) ?? "code";
}

/**
 * Append a route to the existing ones.
 * @param method a key of the route tables; `all` adds it to every one
 * @throws ActionheroError AH_CONFIG for an unknown method, or an invalid pattern
 */
export function addRoute(
  method: string,
  route: RouteType,
  source: RouteSource,
): void {
  const verb = method.toLowerCase() as RouteMethod;
  if (!routerMethods.includes(verb)) {
    throw new ActionheroError(
      "AH_CONFIG",
      `cannot route ${route.path}: ${method} is not an HTTP verb`,
    );
  }
  checkPath(route);
  sources.set(route, source);
  const tables = verb === "all" ? routerMethods : [verb];
  for (const table of tables) tableOf(table).push(route);
}

export function emptyTables(): RouteTables {
  return recordOf(routerMethods, () => []);
}

/**
 * Load `config.routes` and the automatic routes again; routes that code added are kept, after these.
 * @throws ActionheroError AH_CONFIG for an invalid route; the tables are then unchanged
 */
export function reloadRoutes(): void {
  const before = api.routes.routes;
  api.routes.routes = emptyTables();
  try {
    api.routes.loadRoutes();
  } catch (error) {
    api.routes.routes = before;
    throw error;
  }
  for (const [method, routes] of Object.entries(before)) {
    const fromCode = routes.filter((route) => routeSource(route) === "code");
    tableOf(method as RouteMethod).push(...fromCode);
  }
}

function tableOf(method: RouteMethod): RouteType[] {
  // tests replace `api.routes.routes` by tables that lack some methods
  return (api.routes.routes[method] ??= []);
}

function checkPath({ path, literal }: RouteType): void {
  try {
    compilePath(path, false, literal === true);
  } catch (error) {
    throw new ActionheroError(
      "AH_CONFIG",
      `cannot route ${path}: ${toError(error).message}`,
      { cause: error },
    );
  }
}
