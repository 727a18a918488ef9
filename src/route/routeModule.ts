/** The exported `route`: adding routes from code. */
import { addRoute } from "./tables";

export {
  routerMethods,
  type RouteMethod,
  type RouteType,
  type RoutesConfig,
} from "./tables";

/**
 * Append a route to the existing ones.
 * @param method a key of the route tables; `all` adds it to every one
 * @param apiVersion used when the client does not select one
 * @param matchTrailingPathParts the last part of the path takes everything that follows
 * @param dir serve files from this folder instead of running an action
 * @throws ActionheroError AH_CONFIG for an unknown method, or an invalid pattern
 */
export function registerRoute(
  method: string,
  path: string,
  action: string,
  apiVersion?: number | string,
  matchTrailingPathParts = false,
  dir?: string,
): void {
  const route = { path, matchTrailingPathParts, action, dir, apiVersion };
  addRoute(method, route, "code");
}
