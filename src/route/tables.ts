/** Puts routes into the tables, and remembers where each came from. */
import { api } from "../api";
import { ActionheroError, toError } from "../errors";
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

/** Routes that were put into the tables by hand count as code. */
export function routeSource(route: RouteType): RouteSource {
  return sources.get(route) ?? "code";
}

/**
 * Add a route behind those that are there.
 * @param method a key of the route tables; `all` adds it to every one
 * @throws ActionheroError AH_CONFIG for a method that does not exist, or a pattern that is none
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
  return Object.fromEntries(
    routerMethods.map((method) => [method, []]),
  ) as unknown as RouteTables;
}

/**
 * Load `config.routes` and the automatic routes again; what code has added stays, behind them.
 * @throws ActionheroError AH_CONFIG for a route that cannot be; the tables are as before then
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
