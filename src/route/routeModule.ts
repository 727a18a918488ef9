/** The exported `route`: adding routes from code. */
import { api } from "../api";
import { ActionheroError, toError } from "../errors";
import { compilePath } from "./matchUrl";
import { routerMethods, type RouteMethod, type RouteType } from "./types";

export {
  routerMethods,
  type RouteMethod,
  type RouteType,
  type RoutesConfig,
} from "./types";

/**
 * Add a route behind those that are there.
 * @param method a key of the route tables; `all` adds it to every one
 * @param apiVersion used when the client names none
 * @param matchTrailingPathParts the last part of the path takes everything that follows
 * @param dir serve files from this folder instead of running an action
 * @throws ActionheroError AH_CONFIG for a method that does not exist, or a pattern that is none
 */
export function registerRoute(
  method: string,
  path: string,
  action: string,
  apiVersion?: number | string,
  matchTrailingPathParts = false,
  dir?: string,
): void {
  const verb = method.toLowerCase() as RouteMethod;
  if (!routerMethods.includes(verb)) {
    throw new ActionheroError(
      "AH_CONFIG",
      `cannot route ${path}: ${method} is not an HTTP verb`,
    );
  }
  checkPath(path);
  const route = { path, matchTrailingPathParts, action, dir, apiVersion };
  const tables = verb === "all" ? routerMethods : [verb];
  for (const table of tables) tableOf(table).push(route);
}

function tableOf(method: RouteMethod): RouteType[] {
  // tests replace `api.routes.routes` by tables that lack some methods
  return (api.routes.routes[method] ??= []);
}

function checkPath(path: string): void {
  try {
    compilePath(path);
  } catch (error) {
    throw new ActionheroError(
      "AH_CONFIG",
      `cannot route ${path}: ${toError(error).message}`,
      { cause: error },
    );
  }
}
