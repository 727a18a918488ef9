/** The routes of this process: `api.routes`. */
import * as path from "node:path";
import type { Action } from "../action/action";
import { placeOf, latestVersion } from "../action/registry";
import { api } from "../api";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import { log } from "../log/log";
import { type RouteMatch, Router } from "./router";
import { matchURL, type UrlMatch } from "./matchUrl";
import {
  addRoute,
  emptyTables,
  type RouteMethod,
  routerMethods,
  type RoutesConfig,
  type RouteTables,
  type RouteType,
} from "./tables";

/** The part of a web connection that routing reads and writes. */
export interface RoutedConnection {
  params: { [key: string]: any };
  rawConnection: any;
  matchedRoute?: RouteType;
}

export interface RoutesApi {
  /** Per method, in matching order; may be modified or replaced while the server runs. */
  routes: RouteTables;
  /** Find the first route for the connection's method and this path, and fill its params. */
  processRoute(
    connection: RoutedConnection,
    pathParts: readonly string[],
  ): void;
  matchURL(
    pathParts: readonly string[],
    match: string,
    matchTrailingPathParts?: boolean,
  ): UrlMatch;
  /** The methods for which this path has a route; `get` implies `head`. */
  methodsFor(pathParts: readonly string[]): RouteMethod[];
  /**
   * The index of the first path part that a route would assign to one of these variables; preceding parts must match.
   * @param parts non-empty strings
   */
  firstVariable(
    parts: readonly string[],
    isWanted: (name: string) => boolean,
  ): number | undefined;
  /** Whether the action has a route for this method, an automatic one included. */
  hasRoute(action: string, method: RouteMethod): boolean;
  /**
   * Add routes, then the automatic ones for all loaded actions.
   * @param rawRoutes default `config.routes`
   * @returns how many routes `rawRoutes` holds
   */
  loadRoutes(rawRoutes?: RoutesConfig): number;
}

declare module "../api" {
  interface Api {
    routes: RoutesApi;
  }
}

/** A compiled table with its source: when the source changes, it is compiled again. */
interface Compiled {
  table: RouteType[];
  length: number;
  last: RouteType | undefined;
  router: Router;
}

export function createRoutesApi(): RoutesApi {
  const compiled = new Map<string, Compiled>();

  /** Users push to the tables and replace them, so their identity and length are checked on each use. */
  function routerFor(table: RouteType[], method: RouteMethod): Router {
    const known = compiled.get(method);
    if (
      known?.table === table &&
      known.length === table.length &&
      known.last === table[table.length - 1]
    )
      return known.router;
    const router = new Router(table);
    const { length } = table;
    compiled.set(method, { table, length, last: table[length - 1], router });
    return router;
  }

  function routerOf(method: RouteMethod): Router | undefined {
    const table = routes.routes[method] as RouteType[] | undefined;
    if (!table || table.length === 0) return undefined;
    return routerFor(table, method);
  }

  function find(
    method: RouteMethod,
    pathParts: readonly string[],
  ): RouteMatch | undefined {
    return (
      routerOf(method)?.match(pathParts) ??
      (method === "head" ? routerOf("get")?.match(pathParts) : undefined)
    );
  }

  const routes: RoutesApi = {
    routes: emptyTables(),

    processRoute(connection, pathParts) {
      const method = methodOf(connection);
      if (!method) return;
      const match = find(method, pathParts);
      if (match) applyMatch(connection, match, pathParts);
    },

    methodsFor: (pathParts) =>
      requestMethods.filter((method) => {
        const match = find(method, pathParts);
        return match !== undefined && match.route.dir === undefined;
      }),

    hasRoute: (action, method) =>
      routerOf(method)?.actions.has(action) === true ||
      (method === "head" && routerOf("get")?.actions.has(action) === true),

    firstVariable: (parts, isWanted) => {
      let first: number | undefined;
      for (const method of Object.keys(routes.routes) as RouteMethod[])
        first =
          routerOf(method)?.firstVariable(parts.slice(0, first), isWanted) ??
          first;
      return first;
    },

    matchURL: (pathParts, match, matchTrailingPathParts) =>
      matchURL(pathParts, match, matchTrailingPathParts),

    loadRoutes(rawRoutes) {
      const source = rawRoutes ? "code" : "config";
      const wanted = rawRoutes ?? settings().routes;
      let count = 0;
      for (const [method, list] of Object.entries(wanted)) {
        for (const route of list ?? []) {
          addRoute(method, completeRoute(route), source);
          count++;
        }
      }
      if (!rawRoutes) count += addActionRoutes();
      addAutomaticRoutes();
      log("routes:", "debug", routes.routes);
      return count;
    },
  };
  // eslint-disable-next-line @typescript-eslint/unbound-method -- only compared, never called
  ownProcessRoute = routes.processRoute;
  return routes;
}

/** The framework's function of the current `api.routes`. */
let ownProcessRoute: RoutesApi["processRoute"] | undefined;

/**
 * Match the path of a request as `api.routes.processRoute` does. A project's own function may change the list of parts, and
 * gets a copy.
 */
export function routePath(
  connection: RoutedConnection,
  pathParts: readonly string[],
): void {
  const { routes } = api;
  const isOwn = routes.processRoute === ownProcessRoute;
  routes.processRoute(connection, isOwn ? pathParts : [...pathParts]);
}

/** The methods that a client can send, without `all`. */
export const requestMethods = routerMethods.filter(
  (method) => method !== "all",
);

const METHODS: ReadonlyMap<unknown, RouteMethod> = new Map(
  requestMethods.flatMap((method) => [
    [method.toUpperCase(), method],
    [method, method],
  ]),
);

function methodOf({
  rawConnection,
}: RoutedConnection): RouteMethod | undefined {
  return METHODS.get((rawConnection as { method?: unknown }).method);
}

function applyMatch(
  connection: RoutedConnection,
  { route, params, depth }: RouteMatch,
  pathParts: readonly string[],
): void {
  if (route.apiVersion) connection.params.apiVersion ||= route.apiVersion;
  for (const name of Object.keys(params)) {
    const key = decode(name);
    const value = decode(params[name]!);
    if (key !== undefined && value !== undefined && key !== "__proto__")
      connection.params[key] = value;
  }
  connection.matchedRoute = route;
  if (!route.dir) {
    connection.params.action = route.action;
    return;
  }
  connection.params.file = fileBelow(
    route.dir,
    pathParts.slice(depth).join("/"),
  );
}

/** @returns undefined for a malformed encoding: the variable is omitted */
function decode(text: string): string | undefined {
  if (!text.includes("%") && !text.includes("+")) return text;
  const { strictPaths } = settings().web;
  try {
    // a `+` is a space in forms only (RFC 3986 has no such rule), but version 29 also decoded it here
    return decodeURIComponent(
      strictPaths === true ? text : text.replaceAll("+", " "),
    );
  } catch {
    return undefined;
  }
}

/** A path that climbs out of the route's folder leads to no file at all. */
function fileBelow(folder: string, rest: string): string | undefined {
  const base = path.normalize(folder);
  const file = path.normalize(`${base}/${rest}`);
  const decoded = path.normalize(`${base}/${decode(rest) ?? rest}`);
  const prefix = base.endsWith(path.sep) ? base : base + path.sep;
  const isBelow = [file, decoded].every(
    (candidate) =>
      candidate.startsWith(prefix) || `${candidate}${path.sep}` === prefix,
  );
  return isBelow ? file : undefined;
}

/** The routes that actions declare, after those of `config/routes`. */
function addActionRoutes(): number {
  const missing = declaredRoutes().filter(
    (declared) => !isRouted(declared, api.routes.routes[declared.method]),
  );
  for (const { method, route } of missing) addRoute(method, route, "action");
  return missing.length;
}

/** `/<action>` for every action and every verb of `config.web.automaticRoutes`. */
function addAutomaticRoutes(): void {
  const { automaticRoutes: verbs } = settings().web;
  if (verbs.length === 0) return;
  const names = verbs.map((verb) => String(verb).toUpperCase()).join(", ");
  log(
    `creating routes automatically for all actions responding to ${names} HTTP verb${verbs.length > 1 ? "s" : ""}`,
  );
  for (const verb of verbs) {
    if (!isRouteMethod(verb)) throw new Error(`${verb} is not an HTTP verb`);
    const present = new Set(
      api.routes.routes[verb].map(
        ({ path: pattern, action }) => `${pattern} ${action}`,
      ),
    );
    for (const name of Object.keys(api.actions.actions)) {
      if (present.has(`/${name} ${name}`)) continue;
      const route = automaticRoute(name, verb);
      if (route) addRoute(verb, route, "automatic");
    }
  }
}

function completeRoute({
  path: pattern,
  action,
  apiVersion,
  matchTrailingPathParts,
  dir,
  literal,
}: RouteType): RouteType {
  const route: RouteType = {
    path: pattern,
    matchTrailingPathParts: matchTrailingPathParts ?? false,
    action,
    dir,
    apiVersion,
  };
  if (literal === true) route.literal = true;
  return route;
}

// --- Routes that actions declare themselves: `route: "get /users/:id"`, or a list of them.

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
function declaredRoutes(): DeclaredRoute[] {
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
function isRouted(
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

/** A key that is equal for paths that match the same requests: the names of variables do not matter. */
function keyOf(method: string, { path: pattern, literal }: RouteType): string {
  const parts = literal ? pattern : pattern.replace(/:\w+/g, ":");
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

// --- The HTTP methods that actions accept: `httpMethods` restricts automatic routes and `?action=`.

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
function automaticRoute(action: string, verb: string): RouteType | undefined {
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
