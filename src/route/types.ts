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
  /** The last part of the path takes everything that follows, too. */
  matchTrailingPathParts?: boolean;
  /** The path has no variables: a colon in it is a character like any other. */
  literal?: boolean;
  /** Used when the client names no version. */
  apiVersion?: number | string;
}

/** What `config.routes` holds. */
export type RoutesConfig = Partial<Record<RouteMethod, RouteType[]>>;

export type RouteTables = Record<RouteMethod, RouteType[]>;
