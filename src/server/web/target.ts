/** Parses a request's URL: path, query, extension, and the kind of request. */
import type { WebSettings } from "../../config/settings";
import { type KeptParts, MATCHED } from "../../route/router";

const SLASH = 47;

/** The kind of request, by the first part of the path. */
export type RequestMode = "api" | "file";

export interface RequestTarget {
  pathname: string;
  /** The query with its `?`, or an empty string. */
  search: string;
  mode: RequestMode;
  /** The path below the prefix, still encoded; requests for the same path share the list. */
  pathParts: KeptParts;
  /** The text after the last dot of the path. */
  extension: string | undefined;
}

/** The prefixes of `config.web`, split; rebuilt when one of them changes. */
interface Prefixes {
  root: Prefixing["rootEndpointType"];
  actions: string | null | undefined;
  files: string | null | undefined;
  actionParts: string[] | undefined;
  fileParts: string[] | undefined;
  /** A cache of recent paths. */
  known: Map<string, TargetPath>;
}

/** The parsed form of a path. */
type TargetPath = Pick<RequestTarget, "mode" | "pathParts" | "extension">;

/** The size of the cache, and the longest cached URL: a substring keeps the whole string in memory. */
const MAX_KNOWN = 1000;
const MAX_KNOWN_LENGTH = 256;

let prefixes: Prefixes | undefined;

/** The settings that name the prefixes. */
type Prefixing = Pick<
  WebSettings,
  "rootEndpointType" | "urlPathForActions" | "urlPathForFiles"
>;

export function parseTarget(url: string, config: Prefixing): RequestTarget {
  const { pathname, search } = splitUrl(url);
  const current = prefixesOf(config);
  const { known } = current;
  let path = known.get(pathname);
  if (path === undefined) {
    path = parsePath(pathname, current);
    if (known.size >= MAX_KNOWN) known.clear();
    if (url.length <= MAX_KNOWN_LENGTH) known.set(pathname, keep(path));
  }
  const { mode, pathParts, extension } = path;
  return { pathname, search, mode, pathParts, extension };
}

function keep(path: TargetPath): TargetPath {
  Object.defineProperty(path.pathParts, MATCHED, {
    value: { by: undefined, match: undefined },
  });
  Object.freeze(path.pathParts);
  return path;
}

function parsePath(
  pathname: string,
  { root, actionParts, fileParts }: Prefixes,
): TargetPath {
  const extension = extensionOf(pathname);
  const pathParts = splitPathname(pathname);
  const without = (prefix: readonly string[]) => pathParts.slice(prefix.length);
  if (pathParts.length > 0) {
    if (startsWith(pathParts, actionParts))
      return { mode: "api", pathParts: without(actionParts), extension };
    if (startsWith(pathParts, fileParts))
      return { mode: "file", pathParts: without(fileParts), extension };
  }
  return { mode: root === "api" ? "api" : "file", pathParts, extension };
}

function extensionOf(pathname: string): string | undefined {
  // most paths have no dot, and `lastIndexOf` takes ten times as long to find none
  if (!pathname.includes(".")) return undefined;
  return pathname.slice(pathname.lastIndexOf(".") + 1);
}

/** Path and query; what `normalizeTarget` does for requests, others hand over whole URLs. */
export function splitUrl(url: string): { pathname: string; search: string } {
  let target = url;
  if (url.charCodeAt(0) !== SLASH) {
    const start = /^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i.exec(url);
    if (start) target = url.slice(start[0].length);
    if (!target.startsWith("/")) target = `/${target}`;
  }
  const hash = target.indexOf("#");
  if (hash !== -1) target = target.slice(0, hash);
  const question = target.indexOf("?");
  return question === -1
    ? { pathname: target, search: "" }
    : { pathname: target.slice(0, question), search: target.slice(question) };
}

/** The parts between slashes, without empty ones at the start and one at the end. */
function splitPathname(pathname: string): string[] {
  let at = 0;
  while (pathname.charCodeAt(at) === SLASH) at++;
  let end = pathname.length;
  if (end > at && pathname.charCodeAt(end - 1) === SLASH) end--;
  if (at === end) return [];
  const parts: string[] = [];
  for (;;) {
    const slash = pathname.indexOf("/", at);
    if (slash === -1 || slash >= end) {
      parts.push(pathname.slice(at, end));
      return parts;
    }
    parts.push(pathname.slice(at, slash));
    at = slash + 1;
  }
}

function prefixesOf({
  rootEndpointType,
  urlPathForActions,
  urlPathForFiles,
}: Prefixing): Prefixes {
  if (
    !prefixes ||
    prefixes.root !== rootEndpointType ||
    prefixes.actions !== urlPathForActions ||
    prefixes.files !== urlPathForFiles
  ) {
    prefixes = {
      root: rootEndpointType,
      actions: urlPathForActions,
      files: urlPathForFiles,
      actionParts: prefixParts(urlPathForActions),
      fileParts: prefixParts(urlPathForFiles),
      known: new Map(),
    };
  }
  return prefixes;
}

/** The parts of a path prefix; undefined without a prefix. */
export function prefixParts(
  prefix: string | null | undefined,
): string[] | undefined {
  const parts = (prefix ?? "").split("/").filter((part) => part !== "");
  return parts.length > 0 ? parts : undefined;
}

function startsWith(
  parts: readonly string[],
  beginning: readonly string[] | undefined,
): beginning is readonly string[] {
  if (!beginning || parts.length < beginning.length) return false;
  for (let i = 0; i < beginning.length; i++) {
    if (parts[i] !== beginning[i] && decoded(parts[i]!) !== beginning[i])
      return false;
  }
  return true;
}

/** `%61pi` is `api`, as in routes; a malformed part is unchanged. */
function decoded(part: string): string {
  if (!part.includes("%")) return part;
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
