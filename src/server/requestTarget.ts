/** The target of an HTTP request: it is checked, with the version, the host and the headers, and then parsed. */
import type { IncomingMessage } from "node:http";
import type { WebSettings } from "../config/settings";
import { type KeptParts, MATCHED } from "../route/router";

const SLASH = 47;

/** `http://user@host:1/path`: its host and the rest. */
const ABSOLUTE_FORM = /^[a-z][a-z\d+.-]*:\/\/(?:[^/?#@]*@)?([^/?#]*)/i;
/** A host is never longer (RFC 1035 section 2.3.4), with its port. */
const MAX_HOST_LENGTH = 262;
const NOT_IN_HOSTS = /[\s/\\?#@]/;

/** More than any browser and proxy sends; each one costs far more than its bytes, for as long as a websocket stays open. */
export const MAX_HEADERS = 200;

const TOO_MANY_HEADERS = `the request has more than ${MAX_HEADERS} header lines`;
const NOT_ONE_HOST = "the request must name one host";
const NO_TARGET = "the target of the request must be a path or a URL";
const UNKNOWN_EXPECTATION =
  "the server meets no other expectation than 100-continue";
const NO_VERSION = "the request must be HTTP/1.0 or HTTP/1.1";

/** The reason for refusing a request. */
export interface TargetFault {
  status: 400 | 417 | 431 | 505;
  text: string;
}

/**
 * Normalize the target: of an absolute URL, as proxies send it, `req.url` keeps path and query, and its host
 * replaces the header (RFC 9112 section 3.2.2).
 * @returns the fault of a request whose version, target or host is ambiguous (RFC 9112 sections 2.3 and 3), that has too
 * many headers (RFC 6585 section 5), or that expects something else than 100-continue (RFC 9110 section 10.1.1); otherwise
 * undefined
 */
export function normalizeTarget(req: IncomingMessage): TargetFault | undefined {
  // node serves request lines without a version, as HTTP/0.9 had them, and those of HTTP/2
  if (req.httpVersionMajor !== 1)
    return { status: req.httpVersionMajor < 1 ? 400 : 505, text: NO_VERSION };
  if (req.rawHeaders.length > 2 * MAX_HEADERS)
    return { status: 431, text: TOO_MANY_HEADERS };
  if (req.headers.expect !== undefined && !isExpectationMet(req))
    return { status: 417, text: UNKNOWN_EXPECTATION };
  const text = faultOfTarget(req);
  return text === undefined ? undefined : { status: 400, text };
}

/** Servers ignore what clients of HTTP/1.0 expect. */
function isExpectationMet({ headers, httpVersionMinor }: IncomingMessage) {
  return httpVersionMinor < 1 || /^100-continue$/i.test(headers.expect ?? "");
}

function faultOfTarget(req: IncomingMessage): string | undefined {
  const { url = "/", headers, rawHeaders } = req;
  if (url.charCodeAt(0) !== SLASH && !isForServer(req)) {
    const match = ABSOLUTE_FORM.exec(url);
    if (!match) return NO_TARGET;
    const rest = url.slice(match[0].length);
    req.url = rest.startsWith("/") ? rest : `/${rest}`;
    headers.host = match[1];
  }
  return isHostValid(headers.host) && hasOneHost(rawHeaders)
    ? undefined
    : NOT_ONE_HOST;
}

/** `OPTIONS *` asks about the server as a whole (RFC 9112 section 3.2.4). */
function isForServer({ method, url }: IncomingMessage): boolean {
  return url === "*" && method === "OPTIONS";
}

/** The last valid host: most requests name the same. */
let validHost: string | undefined;

/** HTTP/1.0 has no such header; node refuses later versions without one. */
function isHostValid(host: string | undefined): boolean {
  if (host === undefined || host === validHost) return true;
  if (host.length > MAX_HOST_LENGTH || NOT_IN_HOSTS.test(host)) return false;
  validHost = host;
  return true;
}

/** Node silently uses the first of several `Host` headers, while a proxy in front may have used the last. */
function hasOneHost(rawHeaders: readonly string[]): boolean {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 4 && isHost(name)) count++;
  }
  return count <= 1;
}

/** The two usual spellings are compared first, because `toLowerCase` allocates a string. */
function isHost(name: string): boolean {
  return name === "Host" || name === "host" || name.toLowerCase() === "host";
}

// --- Parsing: path, query, extension, and the kind of request.

/** The kind of request, by the first part of the path. */
type RequestMode = "api" | "file";

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
