/** Paths for log lines: a route's variable may be a secret, as in `/reset/:token`. */
import { api } from "../../api";
import { isFiltering, redactForLogging } from "../../log/filters";
import { compilePath, decodeOrKeep, matchCompiled } from "../../route/matchUrl";
import type { RouteType } from "../../route/types";

type Params = Record<string, unknown>;

const FILTERED = "[FILTERED]";

/**
 * The path of a request without the values of variables that `config.general.filteredParams` names.
 * @param route the one that the path has matched, below the prefix of all routes
 * @param params those of the request, the route's variables among them
 */
export function pathForLogging(
  pathname: string,
  { path, literal, matchTrailingPathParts }: RouteType,
  params: Params,
): string {
  if (literal === true || !path.includes(":") || !isFiltering())
    return pathname;
  const { segments } = compilePath(path);
  const names = segments.map(({ name }) => name);
  const secrets = namesToFilter(names, params);
  if (secrets.size === 0) return pathname;

  const parts = pathname.split("/");
  const end = parts.findLastIndex((part) => part !== "") + 1;
  const first = matchTrailingPathParts
    ? beginOf(parts.slice(0, end), path, [secrets, params])
    : end - segments.length;
  if (first === undefined) return FILTERED;
  names.forEach((name, index) => {
    if (!secrets.has(name)) return;
    const takesRest = matchTrailingPathParts && index === names.length - 1;
    const at = first + index;
    parts.splice(at, takesRest ? end - at : 1, FILTERED);
  });
  return parts.join("/");
}

/**
 * The path of a request that no route matches. Where it begins as a route does, up to a variable that
 * `config.general.filteredParams` names, the rest is omitted, because it is probably a mistyped secret, for example
 * with an extra slash.
 * @param pathParts those below the prefix of all routes
 */
export function unroutedPathForLogging(
  pathname: string,
  pathParts: readonly string[],
): string {
  const parts = pathParts.filter((part) => part !== "");
  const isSecret = (name: string) =>
    namesToFilter([name], { [name]: "" }).size > 0;
  const first = api.routes.firstVariable(parts, isSecret);
  if (first === undefined) return pathname;
  const shown = pathname.split("/");
  const end = shown.findLastIndex((part) => part !== "") + 1;
  let begin = end;
  for (let secret = parts.length - first; secret > 0; begin--)
    if (shown[begin - 1] !== "") secret--;
  shown.splice(begin, end - begin, FILTERED);
  return shown.join("/");
}

function namesToFilter(names: readonly string[], params: Params): Set<string> {
  const values = Object.fromEntries(
    names
      .filter((name) => name !== "" && Object.hasOwn(params, name))
      .map((name) => [name, ""]),
  );
  const shown = redactForLogging(values) as Params;
  return new Set(
    Object.keys(values).filter((name) => shown[name] !== values[name]),
  );
}

/** Where the route begins in the path: the prefix of all routes may come before it. */
function beginOf(
  parts: readonly string[],
  path: string,
  [secrets, params]: [ReadonlySet<string>, Params],
): number | undefined {
  const compiled = compilePath(path, true);
  for (let begin = 0; begin < parts.length; begin++) {
    const found = matchCompiled(parts.slice(begin), compiled);
    if (
      found &&
      [...secrets].every((name) => isSame(found[name], params[name]))
    )
      return begin;
  }
  return undefined;
}

/** Whether a part of a path is what a variable's value was decoded from. */
function isSame(part: string | undefined, value: unknown): boolean {
  if (part === undefined) return false;
  const withSpaces = part.replaceAll("+", " ");
  return [part, withSpaces].some((text) => decodeOrKeep(text) === value);
}
