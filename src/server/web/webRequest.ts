/** One HTTP request and its response: the `rawConnection` of web connections. */
import type { IncomingMessage, ServerResponse } from "node:http";
import * as querystring from "node:querystring";
import { api } from "../../api";
import { settings, type WebSettings } from "../../config/settings";
import type { Connection } from "../../connection/connection";
import { context } from "../../context/context";
import type { UploadedFile } from "../../input/file";
import { isFiltering, redactForLogging } from "../../log/filters";
import { compilePath, decodeOrKeep, matchCompiled } from "../../route/matchUrl";
import { type RoutedConnection, routePath } from "../../route/registry";
import type { RouteType } from "../../route/tables";
import { parseCookies } from "../../cookie/cookies";
import { ByteShare, type Holder } from "../heldBytes";
import type { Server } from "../server";
import { BodyError, RequestAborted } from "./bodyRefusal";
import {
  addRequestId,
  defaultPairs,
  type FlatHeaders,
  type HeaderPairs,
  mergeHeaders,
  policyFor,
  preparedHeaders,
  safetyPairs,
  valueOf,
} from "./headers";
import type { Query, SentFields } from "./params";
import type { RequestTarget } from "../requestTarget";
import type { Traffic } from "./traffic";
import type { TemporaryFiles } from "./uploadDisk";
import { ownHeaders, WebResponse, statusOf } from "./write";

/** The unfiltered input of the request. */
interface RequestParams {
  query?: Query;
  body?: any;
  rawBody?: Buffer;
  files?: { [field: string]: UploadedFile | UploadedFile[] };
}

/** Shaped like the legacy `url.parse(url, true)`, which v29 handed out. */
class ParsedURL {
  readonly protocol = null;
  readonly slashes = null;
  readonly auth = null;
  readonly host = null;
  readonly port = null;
  readonly hostname = null;
  readonly hash = null;
  search: string | null;
  pathname: string;
  path: string;
  href: string;
  private parsedQuery: querystring.ParsedUrlQuery | undefined;

  constructor({ pathname, search }: RequestTarget) {
    this.search = search === "" ? null : search;
    this.pathname = pathname;
    this.path = pathname + search;
    this.href = this.path;
    this.parsedQuery = undefined;
  }

  /** Parsed at the first access: log lines need only the pathname. */
  get query(): querystring.ParsedUrlQuery {
    return (this.parsedQuery ??= querystring.parse(
      this.search?.slice(1) ?? "",
    ));
  }

  set query(query: querystring.ParsedUrlQuery) {
    this.parsedQuery = query;
  }
}

const NOTHING = Object.freeze({});

/**
 * Cookies, the parsed URL and the list of headers are built at the first access: most requests need none of them.
 */
export class WebRequest implements Holder {
  readonly server: Server;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly target: RequestTarget;
  readonly config: WebSettings;
  readonly setCookie: string | undefined;
  /** Sent as `X-Request-Id`; undefined without `general.context`. */
  readonly requestId: string | undefined;
  /** In upper case. */
  method: string;
  params: RequestParams;
  /** The status, unless an error overrides it. */
  responseHttpCode: number | string;
  /** The parsed fields and files of the body. */
  form: unknown;
  /** The fields of a form by names that have several of them, or JSON; undefined without any. */
  sentFields: Map<string, SentFields> | undefined;
  /** The params of the path. */
  routed: Connection["params"];
  connection: Connection | undefined;
  /** The requests of its TCP connection. */
  traffic: Traffic | undefined;
  /** The client sent `Expect: 100-continue`, and was told to continue. */
  saidContinue: boolean;
  /** A later request of its connection has started. */
  hasSuccessor: boolean;
  /** The path is that of a folder; its index is the response. */
  namesFolder: boolean;
  /** How much memory its query takes when it is parsed, unless that is not worth counting. */
  queryBytes: number;
  /** The bytes of its body in memory. */
  held: ByteShare | undefined;
  /** Temporary files to remove when the request ends. */
  temporaryFiles: TemporaryFiles | undefined;

  private pairs: HeaderPairs | undefined;
  /** The header pairs that the framework set. */
  private defaults: HeaderPairs | undefined;
  private parsedCookies: Record<string, string> | undefined;
  private parsed: ParsedURL | undefined;

  constructor(
    server: Server,
    res: ServerResponse,
    target: RequestTarget,
    setCookie: string | undefined,
  ) {
    this.server = server;
    this.req = res.req;
    this.res = res;
    this.target = target;
    this.config = settings().web;
    this.setCookie = setCookie;
    this.requestId = context()?.id;
    this.method = res.req.method ?? "GET"; // node's parser takes only upper-case methods
    this.params = {};
    this.responseHttpCode = 200;
    this.form = undefined;
    this.sentFields = undefined;
    this.routed = NOTHING;
    this.connection = undefined;
    this.traffic = undefined;
    this.saidContinue = false;
    this.hasSuccessor = false;
    this.namesFolder = false;
    this.queryBytes = 0;
    this.held = undefined;
    this.temporaryFiles = undefined;
    this.pairs = undefined;
    this.defaults = undefined;
    this.parsedCookies = undefined;
    this.parsed = undefined;
    if (res instanceof WebResponse) {
      if (res.isTouched) this.responseHeaders.push(...ownHeaders(res));
      res.owner = this;
    }
  }

  /**
   * The response's headers: push to it, the last one of a name is sent. `res.setHeader` and `connection.setHeader`
   * also push to it.
   */
  get responseHeaders(): HeaderPairs {
    if (this.pairs === undefined) {
      const policy = policyFor(this.req);
      this.pairs = defaultPairs(this.config, this.setCookie, policy);
      this.defaults = this.pairs.slice();
    }
    return this.pairs;
  }

  set responseHeaders(pairs: HeaderPairs) {
    this.pairs = pairs;
  }

  get cookies(): Record<string, string> {
    return (this.parsedCookies ??= parseCookies(this.req));
  }

  set cookies(cookies: Record<string, string>) {
    this.parsedCookies = cookies;
  }

  get parsedURL(): ParsedURL {
    return (this.parsed ??= new ParsedURL(this.target));
  }

  set parsedURL(parsed: ParsedURL) {
    this.parsed = parsed;
  }

  get clientAddress(): string | undefined {
    return this.connection?.remoteIP;
  }

  get bytesRead(): number {
    return this.req.socket.bytesRead;
  }

  /** The bytes of the request in memory, until it ends. */
  get share(): ByteShare {
    return (this.held ??= new ByteShare(this));
  }

  /** Check before bytes are stored. @returns the error of the request if they must not be */
  hold(bytes: number): Error | undefined {
    const { share } = this;
    if (share.take(bytes)) return undefined;
    return share.isReleased ? new RequestAborted() : BodyError.overloaded();
  }

  /** As `hold`. @throws BodyError, RequestAborted */
  reserve(bytes: number): void {
    const refusal = this.hold(bytes);
    if (refusal) throw refusal;
  }

  /** The path, without secrets in its variables. */
  pathForLogging({ matchedRoute, params }: Connection): string {
    const { pathname } = this.parsedURL;
    return matchedRoute
      ? pathForLogging(pathname, matchedRoute as RouteType, params)
      : this.unroutedPathForLogging();
  }

  /** The path of a request that no route matches; secrets are also hidden where a route of another method names them. */
  private unroutedPathForLogging(): string {
    const { pathname } = this.parsedURL;
    const { pathParts } = this.target;
    // `/api?action=name` has no parts
    if (pathParts.length === 0 || !isFiltering()) return pathname;
    for (const method of api.routes.methodsFor(pathParts)) {
      const other: RoutedConnection = { params: {}, rawConnection: { method } };
      routePath(other, pathParts);
      const { matchedRoute, params } = other;
      const shown = pathForLogging(pathname, matchedRoute!, params);
      if (shown !== pathname) return shown;
    }
    return unroutedPathForLogging(pathname, pathParts);
  }

  /** Whether the list of headers was accessed, and so may have been modified. */
  get hasOwnHeaders(): boolean {
    return this.pairs !== undefined;
  }

  /** Set a header of the framework, unless the project has set that name itself. */
  setDefault(name: string, value: string): void {
    const pairs = this.responseHeaders;
    if (this.projectValueOf(name.toLowerCase()) !== undefined) return;
    const pair: HeaderPairs[number] = [name, value];
    pairs.push(pair);
    this.defaults?.push(pair);
  }

  /** The value of a name (in lower case), if the project set it. */
  projectValueOf(name: string): string | undefined {
    return this.pairs && valueOf(this.projectPairs(), name);
  }

  /**
   * The headers to write, as a new list.
   * @throws TypeError when one that was pushed is not valid
   */
  flatHeaders(): FlatHeaders {
    const { res } = this;
    // of the project's own class: the order in which its headers were set is unknown
    if (!(res instanceof WebResponse)) {
      const own = ownHeaders(res);
      if (own.length > 0) this.responseHeaders.push(...own);
    }
    if (this.pairs === undefined)
      return preparedHeaders(this.config, this, policyFor(this.req));
    const head = mergeHeaders(this.pairs);
    addRequestId(head, this.requestId);
    return head;
  }

  /**
   * The headers to write when the framework adds none of its own, except that caches learn what the response depends on.
   * @throws TypeError when one that was pushed is not valid
   */
  flatProjectHeaders(): FlatHeaders {
    const pairs = this.projectPairs();
    if (policyFor(this.req)?.cors?.isForAll === false)
      pairs.push(["Vary", "Origin"]);
    return mergeHeaders(pairs);
  }

  /** The status of a response that the project writes itself, unless it sets another. */
  rawStatus(): number {
    return statusOf(this);
  }

  /**
   * The headers of a response that the project writes itself: the session's cookie, security headers, and those that
   * the project set. The type is unknown, and is not included.
   */
  rawPairs(): HeaderPairs {
    const own = this.pairs === undefined ? [] : this.projectPairs();
    const pairs = safetyPairs(this.config, this.setCookie, policyFor(this.req));
    pairs.push(...own);
    if (
      this.requestId !== undefined &&
      valueOf(own, "x-request-id") === undefined
    )
      pairs.push(["X-Request-Id", this.requestId]);
    return pairs;
  }

  private projectPairs(): HeaderPairs {
    return this.responseHeaders.filter(
      (pair) => this.defaults?.includes(pair) !== true,
    );
  }
}

// --- Paths for log lines: a route's variable may be a secret, as in `/reset/:token`.

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
function unroutedPathForLogging(
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
