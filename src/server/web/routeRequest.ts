/** Selects the handler of a request: an action, a file, or the server itself. */
import * as path from "node:path";
import { admitFile, countBeforeBody } from "../../action/rateLimit";
import type { ActionProcessor } from "../../action/actionProcessor";
import { mayRunAction } from "../../action/registry";
import { api } from "../../api";
import { settings } from "../../config/settings";
import type { Connection } from "../../connection/connection";
import { HttpError } from "../../errors";
import type { MetricsApi } from "../../metrics/types";
import { isMethodAccepted, routePath } from "../../route/registry";
import type { RouteType } from "../../route/tables";
import { tracing } from "../../tracing/tracer";
import { type Server, startAction } from "../server";
import { hasBody, type ParsedBody, readBody } from "./body";
import { RequestAborted } from "./bodyError";
import { answerPreflight, refuseForged } from "./crossOrigin";
import { leaveBody } from "./discard";
import { FileRules } from "./fileRules";
import { valueOf } from "./headers";
import {
  checkCallback,
  requesterInformation,
  stringify,
  withoutIdentity,
} from "./respond";
import {
  allowHeader,
  FILE_METHODS,
  isActionOpen,
  mayNameAction,
  refuseMethod,
} from "./methods";
import { fillFromBody, fillFromQuery } from "./params";
import type { RequestTarget } from "./target";
import { traceRoute } from "./traceRequest";
import type { UploadDisk } from "./uploadDisk";
import type { WebRequest } from "./webRequest";

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
  const answer = answerOf(request);
  if (!answer) return routeToAction(server, connection, request);
  const left = leaveBody(request);
  return left
    ? left.then(() => answer(server, connection, request))
    : answer(server, connection, request);
}

type Answer = (
  server: Host,
  connection: Connection,
  request: WebRequest,
) => Promise<unknown>;

/** The handler of a request that is not for an action. */
function answerOf(request: WebRequest): Answer | undefined {
  const { method, config, target } = request;
  if (method === "OPTIONS") return answerOptions;
  if (isForMetrics(request)) return answerMetrics;
  if (method === "TRACE" && !config.trace) return refuseTrace;
  return target.mode === "file" ? answerFile : undefined;
}

/** The route is matched before the body is read, so that a body that no action accepts is not read. */
function routeToAction(
  server: Host,
  connection: Connection,
  request: WebRequest,
): unknown {
  const routed = routeParams(connection, request);
  fillFromQuery(connection, request);
  const body = takeBody(server, connection, request, routed);
  if (!body) return runAction(server, connection, request, routed);
  return body.then((parsed) => {
    if (parsed) fillFromBody(connection, request, parsed);
    return runAction(server, connection, request, routed);
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
      const asked: unknown = action ?? connection.params.action;
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

function answerFile(
  server: Host,
  connection: Connection,
  request: WebRequest,
): Promise<unknown> {
  nameFile(connection, request);
  const counted = admitFile(connection);
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

function answerOptions(
  server: Server,
  connection: Connection,
  request: WebRequest,
): Promise<void> {
  const { responseHeaders, target, config } = request;
  if (answerPreflight(request)) return server.sendMessage(connection, "");
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
async function answerMetrics(
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
