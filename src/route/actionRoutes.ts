/** Routes that actions declare themselves: `route: "get /users/:id"`, or a list of them. */
import type { Action } from "../action/action";
import { placeOf } from "../action/registry";
import { api } from "../api";
import { ActionheroError } from "../errors";
import { routerMethods, type RouteMethod, type RouteType } from "./types";

interface DeclaredRoute {
  method: RouteMethod;
  route: RouteType;
  /** Where it was declared, for errors. */
  place: string;
}

/** A method and a path; any other `route` field of a version 29 class is not a route. */
const ROUTE = /^(\w+) (\/\S*)$/;

/**
 * The routes of all loaded actions.
 * @throws ActionheroError AH_CONFIG for an unknown method, and for two actions with one route
 */
export function declaredRoutes(): DeclaredRoute[] {
  const byPath = new Map<string, DeclaredRoute>();
  for (const versions of Object.values(api.actions.actions)) {
    for (const action of Object.values(versions)) {
      for (const declared of routesOf(action)) {
        const key = keyOf(declared.method, declared.route);
        const other = byPath.get(key);
        if (!other) byPath.set(key, declared);
        else if (other.route.action !== action.name)
          throw conflict(declared, other.place);
        // several versions of the action have it: the client selects one, default the latest
        else other.route.apiVersion = undefined;
      }
    }
  }
  return [...byPath.values()];
}

/**
 * Whether a table has the route already, from `config/routes`.
 * @throws ActionheroError AH_CONFIG when it leads to another action
 */
export function isRouted(
  { method, route, place }: DeclaredRoute,
  table: readonly RouteType[],
): boolean {
  const key = keyOf(method, route);
  const other = table.find((present) => keyOf(method, present) === key);
  if (!other) return false;
  if (other.action !== route.action)
    throw conflict({ method, route, place }, "config/routes");
  return true;
}

function routesOf(action: Action): DeclaredRoute[] {
  const { route } = action as { route?: unknown };
  const list: unknown[] = Array.isArray(route) ? route : [route];
  return list.flatMap((text) => {
    const match = typeof text === "string" ? ROUTE.exec(text) : null;
    if (!match) return [];
    const method = match[1]!.toLowerCase() as RouteMethod;
    const place = placeOf(action);
    if (!routerMethods.includes(method))
      throw new ActionheroError(
        "AH_CONFIG",
        `cannot route ${match[2]}: ${match[1]} is not an HTTP verb (${place})`,
      );
    const { name, version } = action;
    return [
      {
        method,
        place,
        route: {
          path: match[2]!,
          matchTrailingPathParts: false,
          action: name,
          dir: undefined,
          apiVersion: version,
        },
      },
    ];
  });
}

/** The same for paths that match the same requests: the names of variables do not matter. */
function keyOf(method: string, { path, literal }: RouteType): string {
  const parts = literal ? path : path.replace(/:\w+/g, ":");
  return `${method} ${parts.toLowerCase().replace(/\/$/, "")}`;
}

function conflict(
  { method, route, place }: DeclaredRoute,
  otherPlace: string,
): ActionheroError {
  return new ActionheroError(
    "AH_CONFIG",
    `two actions have the route ${method} ${route.path}: ${place} and ${otherPlace}`,
  );
}
