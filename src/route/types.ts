/** The public shapes of routes. */

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
