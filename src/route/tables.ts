/** The route tables: what is in them, how routes are added, and the origin of each. */
import { api } from "../api";
import { ActionheroError, toError } from "../errors";
import { recordOf } from "../utils/objects";
import { compilePath } from "./matchUrl";

/** The route tables; `all` stands for every method. */
export const routerMethods = [
  "all",
  "head",
  "get",
  "patch",
  "post",
  "put",
  "delete",
] as const;

export type RouteMethod = (typeof routerMethods)[number];

export interface RouteType {
  /** `/user/:userID`, `/v:apiVersion/status`, `/:key(^[a-f0-9]+$)` */
  path: string;
  action: string;
  /** Serve files from this folder instead of running an action. */
  dir?: string;
  /** The last part of the path also matches all following parts. */
  matchTrailingPathParts?: boolean;
  /** The path has no variables: a colon has no special meaning. */
  literal?: boolean;
  /** Used when the client does not select a version. */
  apiVersion?: number | string;
}

/** The type of `config.routes`. */
export type RoutesConfig = Partial<Record<RouteMethod, RouteType[]>>;

export type RouteTables = Record<RouteMethod, RouteType[]>;

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
