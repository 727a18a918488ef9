/** Selects the handler of a request: an action, a file, or the server itself; and traces it. */
import * as path from "node:path";
import { checkFile, countBeforeBody } from "../../action/rateLimit";
import type { ActionProcessor } from "../../action/actionProcessor";
import { mayRunAction } from "../../action/registry";
import { api } from "../../api";
import { settings, type WebSettings } from "../../config/settings";
import type { Connection } from "../../connection/connection";
import { HttpError } from "../../errors";
import type { MetricsApi } from "../../metrics/types";
import {
  isMethodAccepted,
  routePath,
  isRouteMethod,
  requestMethods,
} from "../../route/registry";
import type { RouteType } from "../../route/tables";
import {
  tracing,
  shortText,
  type Tracer,
  knownMethod,
  OTHER_METHOD,
} from "../../tracing/tracer";
import { type Server, startAction } from "../server";
import { hasBody, type ParsedBody, readBody } from "./body";
import { RequestAborted, leaveBody } from "./bodyRefusal";
import { FileRules } from "./multipart";
import { valueOf, allowOrigin } from "./headers";
import {
  checkCallback,
  requesterInformation,
  stringify,
  withoutIdentity,
} from "./respond";
import {
  actionInQuery,
  checkQuery,
  fillFromBody,
  fillFromQuery,
} from "./params";
import { type RequestTarget, splitUrl } from "../requestTarget";
import type { UploadDisk } from "./uploadDisk";
import type { WebRequest } from "./webRequest";
import { type Cors, currentCors, isForgedRequest } from "../cors";
import type { IncomingMessage, ServerResponse } from "node:http";
import { context } from "../../context/context";
import type { SpanAttributes } from "../../tracing/types";
import { clientAddressOf, hostOf, isTrustedPeer, schemeOf } from "../proxies";
import { plainAddress } from "../../utils/addresses";

type ConnectionParams = Connection["params"];

/** The part of the web server that routing needs. */
type Host = Server & {
  readonly uploadDisk: UploadDisk;
  /** Takes what a listener of `actionComplete` throws after the request was routed. */
  readonly onLateError: (data: ActionProcessor, error: unknown) => void;
};

const CORS_DEFAULTS: Record<string, string> = {
  "Access-Control-Allow-Methods":
    "HEAD, GET, POST, PATCH, PUT, DELETE, OPTIONS, TRACE",
  "Access-Control-Allow-Origin": "*",
};

const METHODS_BESIDE_TRACE = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/** Whether the request is for an action, not for a file or the server itself. */
export function isForAction(
  method: string | undefined,
  { mode }: RequestTarget,
): boolean {
  return mode === "api" && method !== "OPTIONS" && method !== "TRACE";
}

/**
 * @returns a promise only if something has to be waited for
 * @throws HttpError, RequestAborted, and other errors, synchronously or later
 */
export function routeRequest(
  server: Host,
  connection: Connection,
  request: WebRequest,
): unknown {
  const { extension, pathname } = request.target;
  connection.extension = extension;
  if (request.config.csrf) refuseForged(request);
  if (request.config.strictPaths) checkEncoding(pathname);
  const handler = handlerOf(request);
  if (!handler) return routeToAction(server, connection, request);
  const left = leaveBody(request);
  return left
    ? left.then(() => handler(server, connection, request))
    : handler(server, connection, request);
}

type Handler = (
  server: Host,
  connection: Connection,
  request: WebRequest,
) => Promise<unknown>;

/** The handler of a request that is not for an action. */
function handlerOf(request: WebRequest): Handler | undefined {
  const { method, config, target } = request;
  if (method === "OPTIONS") return respondToOptions;
  if (isForMetrics(request)) return respondWithMetrics;
  if (method === "TRACE" && !config.trace) return refuseTrace;
  return target.mode === "file" ? routeToFile : undefined;
}

/** The route is matched before the body is read, so that a body that no action accepts is not read. */
function routeToAction(
  server: Host,
  connection: Connection,
  request: WebRequest,
): unknown {
  const routed = routeParams(connection, request);
  checkQuery(request);
  const body = takeBody(server, connection, request, routed);
  if (!body) {
    fillFromQuery(connection, request);
    return runAction(server, connection, request, routed);
  }
  const run = (parsed: ParsedBody | void) => {
    fillFromQuery(connection, request);
    if (parsed) fillFromBody(connection, request, parsed);
    return runAction(server, connection, request, routed);
  };
  return body.then(run, (error: Error) => {
    // the response to an error may depend on the params
    if (!(error instanceof RequestAborted)) fillFromQuery(connection, request);
    throw error;
  });
}

/** The values of the route, separate from the params of the client, which are not complete yet. */
function routeParams(
  connection: Connection,
  { target }: WebRequest,
): ConnectionParams {
  const { params } = connection;
  const routed: ConnectionParams = {};
  connection.params = routed;
  routePath(connection, target.pathParts);
  connection.params = params;
  return routed;
}

function takeBody(
  server: Host,
  connection: Connection,
  request: WebRequest,
  routed: ConnectionParams,
): Promise<ParsedBody | void> | undefined {
  if (!hasBody(request)) return leaveBody(request);
  const named: unknown = routed.action;
  const action = typeof named === "string" ? named : undefined;
  // without a route, the body may still select the action
  const mayRun =
    action === undefined
      ? isActionOpen(connection, request)
      : mayRunAction(action, connection.type);
  if (!mayRun) return leaveBody(request);
  const counted = countBeforeBody(connection);
  if (!counted) return readParams(server, connection, request, action);
  return counted.then((isOverLimit): Promise<ParsedBody | void> | undefined => {
    if (isOverLimit) return leaveBody(request);
    if (request.req.destroyed) throw new RequestAborted();
    return readParams(server, connection, request, action);
  });
}

/** @param action named by the route */
function readParams(
  server: Host,
  connection: Connection,
  request: WebRequest,
  action: string | undefined,
): Promise<ParsedBody> {
  return readBody(request, {
    disk: server.uploadDisk,
    rules: () => {
      const asked: unknown = action ?? actionInQuery(request);
      const known = typeof asked === "string" ? asked : undefined;
      return FileRules.for(known, request.config);
    },
  });
}

function runAction(
  server: Host,
  connection: Connection,
  request: WebRequest,
  routed: ConnectionParams,
): unknown {
  const { params } = connection;
  request.routed = routed;
  const named: unknown = params.action;
  params.action = null; // the route selects the action, not the query or body
  applyRoute(connection, routed);
  if (request.method === "TRACE") {
    // the cookie is HttpOnly, so it must not be revealed to scripts here
    const information = withoutIdentity(requesterInformation(connection));
    const text = stringify(information, request.config);
    return server.sendMessage(connection, text);
  }
  if (typeof named === "string" && mayNameAction(connection, request, named))
    params.action = named;
  if (!isMethodAccepted(connection, request.method)) params.action = null;
  if (params.action === null && request.config.strictHttp)
    refuseMethod(connection, request, named);
  checkCallback(request.config, params);
  if (tracing.tracer) traceRoute(tracing.tracer, connection, request);
  return startAction(server, connection, server.onLateError);
}

/** Variables of the route override the client's params; the version of a route is only a default. */
function applyRoute(
  { params, matchedRoute }: Connection,
  routed: ConnectionParams,
): void {
  const { apiVersion } = (matchedRoute ?? {}) as Partial<RouteType>;
  for (const name of Object.keys(routed)) {
    const value: unknown = routed[name];
    const isDefault = name === "apiVersion" && value === apiVersion;
    if (!isDefault || !params.apiVersion) params[name] = value;
  }
}

/**
 * With `strictPaths`, a path that cannot be decoded is refused (RFC 3986 section 2.1).
 * @throws HttpError
 */
function checkEncoding(pathname: string): void {
  if (!pathname.includes("%")) return;
  try {
    decodeURIComponent(pathname);
  } catch (cause) {
    throw new HttpError(400, "the path is not encoded correctly", { cause });
  }
}

function routeToFile(
  server: Host,
  connection: Connection,
  request: WebRequest,
): Promise<unknown> {
  nameFile(connection, request);
  const counted = checkFile(connection);
  return counted
    ? counted.then(() => server.processFile(connection))
    : server.processFile(connection);
}

/** Set `params.file` to the path that was asked for, unless a route to a folder does. */
function nameFile(connection: Connection, request: WebRequest): void {
  const { params } = connection;
  const { target } = request;
  routePath(connection, target.pathParts);
  let file = String(params.file || target.pathParts.join(path.sep));
  if (file === "" || file.endsWith("/")) {
    request.namesFolder = true;
    file += settings().general.directoryFileType;
  }
  try {
    params.file = decodeURIComponent(file);
  } catch (error) {
    params.file = file;
    connection.error = new Error(
      `There was an error decoding URI: ${String(error)}`,
    );
  }
}

function refuseTrace(
  server: Server,
  connection: Connection,
  request: WebRequest,
): Promise<void> {
  request.responseHttpCode = 405;
  request.responseHeaders.push(["Allow", METHODS_BESIDE_TRACE]);
  const text = stringify({ error: "TRACE is not allowed" }, request.config);
  return server.sendMessage(connection, text);
}

function respondToOptions(
  server: Server,
  connection: Connection,
  request: WebRequest,
): Promise<void> {
  const { responseHeaders, target, config } = request;
  if (respondToPreflight(request)) return server.sendMessage(connection, "");
  if (config.strictHttp) {
    const { mode, pathParts } = target;
    const verbs: readonly string[] =
      mode === "file" ? FILE_METHODS : api.routes.methodsFor(pathParts);
    if (verbs.length > 0) responseHeaders.push(["Allow", allowHeader(verbs)]);
  }
  if (config.cors) return server.sendMessage(connection, "");
  for (const [name, value] of Object.entries(CORS_DEFAULTS)) {
    if (valueOf(responseHeaders, name.toLowerCase()) === undefined)
      responseHeaders.push([name, value]);
  }
  return server.sendMessage(connection, "");
}

// --- The metrics on the web server's port, for clients that `metrics.authorize` accepts.

/** Whether a request is for the metrics; never without `metrics.authorize`. */
function isForMetrics({ method, target }: WebRequest): boolean {
  const { metrics } = api as { metrics?: MetricsApi };
  if (metrics?.web === undefined || target.pathname !== metrics.web.path)
    return false;
  return method === "GET" || method === "HEAD";
}

/** @throws HttpError 403; the error that `authorize` throws */
async function respondWithMetrics(
  server: Server,
  connection: Connection,
  request: WebRequest,
): Promise<void> {
  const { metrics } = api;
  if ((await metrics.web?.authorize(connection)) !== true)
    throw new HttpError(403, "you may not read the metrics");
  const { contentType, text } = await metrics.page(request.req.headers.accept);
  request.responseHeaders.push(
    ["Content-Type", contentType],
    ["Cache-Control", "no-store"],
  );
  await server.sendMessage(connection, text);
}

// --- The methods that a path and an action accept: `?action=`, 405 and `Allow` (RFC 9110 sections 10.2.1 and 15.5.6).

/** The methods of files, unless a route to a folder declares another one. */
export const FILE_METHODS = ["get", "head"] as const;

/**
 * Whether `?action=` may name this action: where no route matches, for the bare prefix (or for every path, with
 * `queryRouting`), and only an action that has a route for the method anyway (or any, with `queryRouting`).
 */
function mayNameAction(
  connection: Connection,
  request: WebRequest,
  name: string,
): boolean {
  const { config, method } = request;
  if (!isActionOpen(connection, request)) return false;
  return config.queryRouting || hasRoute(name, method.toLowerCase(), config);
}

/** Whether the params select the action: no route matches, and the path allows it. */
function isActionOpen(
  { matchedRoute }: Connection,
  { target, config }: WebRequest,
): boolean {
  return (
    matchedRoute === undefined &&
    (target.pathParts.length === 0 || config.queryRouting)
  );
}

/** For a request without an action: `Allow` if the path accepts other methods; the status is then 405. */
function refuseMethod(
  connection: Connection,
  request: WebRequest,
  named: unknown,
): void {
  const allowed = acceptedMethods(connection, request, named);
  if (allowed.length === 0) return;
  connection.otherMethods = allowed.map((verb) => verb.toUpperCase());
  request.responseHeaders.push(["Allow", allowHeader(allowed)]);
}

/** `GET, HEAD, OPTIONS`; every path accepts OPTIONS. */
export function allowHeader(verbs: readonly string[]): string {
  return [...verbs, "options"].map((verb) => verb.toUpperCase()).join(", ");
}

/** The methods with which the same request would reach an action. */
function acceptedMethods(
  { matchedRoute, params: { apiVersion } }: Connection,
  { target: { pathParts }, config }: WebRequest,
  named: unknown,
): string[] {
  const routed: readonly string[] = api.routes.methodsFor(pathParts);
  const name = nameIn(named, pathParts, config);
  const action = (matchedRoute as RouteType | undefined)?.action ?? name;
  return requestMethods.filter((verb) => {
    const isRouted =
      routed.includes(verb) ||
      (name !== undefined &&
        (config.queryRouting || hasRoute(name, verb, config)));
    const params = { action, apiVersion: apiVersion as unknown };
    return isRouted && isMethodAccepted({ params }, verb);
  });
}

/** The action that `?action=` names, if it exists and the path leaves the choice to it. */
function nameIn(
  named: unknown,
  pathParts: readonly string[],
  { queryRouting }: WebSettings,
): string | undefined {
  if (pathParts.length > 0 && !queryRouting) return undefined;
  const exists =
    typeof named === "string" && Object.hasOwn(api.actions.actions, named);
  return exists ? named : undefined;
}

function hasRoute(
  action: string,
  verb: string,
  { automaticRoutes }: WebSettings,
): boolean {
  const wanted = verb === "head" ? ["all", "head", "get"] : ["all", verb];
  if (automaticRoutes.some((automatic) => wanted.includes(automatic)))
    return true;
  return isRouteMethod(verb) && api.routes.hasRoute(action, verb);
}

// --- Cross-origin requests: CORS headers, preflight requests, and protection against CSRF.

/** The header names that a script requests. */
const HEADER_NAMES = /^[\w!#$%&'*+.^`|~, -]{1,1024}$/;

/** With `web.cors`: allow the origin of the request to read the response, if permitted. */
export function addCorsHeaders(request: WebRequest): void {
  const cors = currentCors();
  if (cors === undefined || cors.isForAll) return; // the same for all origins: a default header
  const { origin } = request.req.headers;
  // `Vary` is a default header: a request without a list of its own gets the prepared ones
  if (origin !== undefined && cors.allows(origin))
    request.responseHeaders.push(...allowOrigin(cors, origin));
}

/**
 * With `web.cors`: responds to a preflight request.
 * @returns false for any other OPTIONS request, and without `web.cors`
 */
function respondToPreflight(request: WebRequest): boolean {
  const cors = currentCors();
  const { headers } = request.req;
  const { origin } = headers;
  if (cors === undefined || origin === undefined) return false;
  if (headers["access-control-request-method"] === undefined) return false;
  request.responseHttpCode = 204;
  if (cors.allows(origin)) addPermissions(request, cors);
  return true;
}

function addPermissions(
  { req, responseHeaders }: WebRequest,
  { methods, headers, maxAge }: Cors,
): void {
  const wanted = String(req.headers["access-control-request-headers"] ?? "");
  const allowed = headers ?? (HEADER_NAMES.test(wanted) ? wanted : undefined);
  responseHeaders.push(
    ["Access-Control-Allow-Methods", methods],
    ["Access-Control-Max-Age", maxAge],
  );
  if (allowed) responseHeaders.push(["Access-Control-Allow-Headers", allowed]);
}

/**
 * With `web.csrf`: a page of another site must not act with the visitor's cookies.
 * @throws HttpError 403
 */
function refuseForged({ req }: WebRequest): void {
  if (isForgedRequest(req))
    throw new HttpError(403, "requests of other sites are not allowed");
}

// --- The spans of HTTP requests.

/** Longest path in an attribute, in characters. */
const MAX_PATH = 1024;

/** Handle a request with a span around it, which ends with the response. */
export function traceRequest(
  tracer: Tracer,
  req: IncomingMessage,
  res: ServerResponse,
  handle: () => void,
): void {
  const { method = "", headers, socket } = req;
  const known = knownMethod(method);
  const isTrusted = isTrustedPeer(socket.remoteAddress);
  const opened = tracer.open({
    name: nameOf(known),
    kind: "server",
    attributes: requestAttributes(req, known),
    // clients could join their requests to the traces of others
    remote: isTrusted ? headers.traceparent : undefined,
    state: isTrusted ? String(headers.tracestate ?? "") : undefined,
  });
  res.once("close", () => {
    const { statusCode, headersSent } = res;
    if (headersSent)
      opened.span.setAttribute("http.response.status_code", statusCode);
    // a client that left before its response has no status
    if (!headersSent) tracer.failAs("client_left", opened.span);
    else if (statusCode >= 500) tracer.failAs(String(statusCode), opened.span);
    opened.end();
  });
  tracer.withSpan(opened, handle);
}

/** The route of a request is found. */
function traceRoute(
  tracer: Tracer,
  { params, matchedRoute }: Connection,
  { method, target, config }: WebRequest,
): void {
  const { path: pattern } = (matchedRoute ?? {}) as Partial<RouteType>;
  const action: unknown = params.action;
  const isKnown =
    typeof action === "string" && Object.hasOwn(api.actions.actions, action);
  const below = pattern ?? (isKnown ? `/${action}` : undefined);
  if (below === undefined) return;
  const prefix = `/${config.urlPathForActions ?? ""}`;
  const { pathname } = target;
  const isPrefixed = pathname === prefix || pathname.startsWith(`${prefix}/`);
  const route = isPrefixed && prefix !== "/" ? `${prefix}${below}` : below;
  const name = `${nameOf(knownMethod(method))} ${route}`;
  tracer.entry()?.describe(name, { "http.route": route });
}

function nameOf(method: string): string {
  return method === OTHER_METHOD ? "HTTP" : method;
}

function requestAttributes(
  req: IncomingMessage,
  known: string,
): SpanAttributes {
  const { method = "", url = "/", headers, socket, httpVersion } = req;
  const [, address, port] = /^(.*?)(?::(\d+))?$/.exec(hostOf(req) ?? "") ?? [];
  return {
    "http.request.method": known,
    "http.request.method_original":
      known === OTHER_METHOD ? shortText(method) : undefined,
    // without the query, which may hold secrets
    "url.path": splitUrl(url).pathname.slice(0, MAX_PATH),
    "url.scheme": schemeOf(req),
    "server.address": address ? shortText(address) : undefined,
    "server.port": port === undefined ? undefined : Number(port),
    "client.address": shortText(plainAddress(clientAddressOf(req).ip)),
    "network.peer.address": socket.remoteAddress,
    "network.protocol.version": httpVersion,
    "user_agent.original": headers["user-agent"]?.slice(0, 256),
    "actionhero.transport": "web",
    "actionhero.request.id": context()?.id,
  };
}
