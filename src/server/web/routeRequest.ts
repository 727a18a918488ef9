/** Decides what answers a request: an action, a file, or the server itself. */
import * as path from "node:path";
import { api } from "../../api";
import { config as allConfig } from "../../config/config";
import type { Connection } from "../../connection/connection";
import { isMethodAccepted } from "../../route/httpMethods";
import type { Server } from "../server";
import { BodyError } from "./bodyError";
import { valueOf } from "./headers";
import { checkCallback } from "./jsonp";
import { mayNameAction, refuseMethod } from "./methods";
import { fillFromBody, fillFromQuery } from "./params";
import { requesterInformation, stringify, withoutIdentity } from "./respond";
import type { RequestTarget } from "./target";
import type { WebRequest } from "./webRequest";

const CORS_DEFAULTS: Record<string, string> = {
  "Access-Control-Allow-Methods":
    "HEAD, GET, POST, PATCH, PUT, DELETE, OPTIONS, TRACE",
  "Access-Control-Allow-Origin": "*",
};

const METHODS_BESIDE_TRACE = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/** Whether an action is asked for, and not a file or what the server itself tells. */
export function isForAction(
  method: string | undefined,
  { mode }: RequestTarget,
): boolean {
  return mode === "api" && method !== "OPTIONS" && method !== "TRACE";
}

/** @throws BodyError, RequestAborted, and whatever goes wrong on the way, at once or later */
export function routeRequest(
  server: Server,
  connection: Connection,
  request: WebRequest,
): Promise<unknown> {
  const { mode, extension, pathname } = request.target;
  connection.extension = extension;
  if (request.config.strictPaths === true) checkEncoding(pathname);
  if (request.method === "OPTIONS")
    return answerOptions(server, connection, request);
  if (request.method === "TRACE" && request.config.trace === false)
    return refuseTrace(server, connection, request);
  if (mode === "file") {
    nameFile(connection, request);
    return server.processFile(connection);
  }

  fillFromQuery(connection, request);
  const body = fillFromBody(connection, request);
  return body
    ? body.then(() => routeToAction(server, connection, request))
    : routeToAction(server, connection, request);
}

function routeToAction(
  server: Server,
  connection: Connection,
  request: WebRequest,
): Promise<unknown> {
  const { params } = connection;
  const named: unknown = params.action;
  params.action = null; // routes decide, not what a client puts into its query or body
  api.routes.processRoute(connection, request.target.pathParts);
  if (request.method === "TRACE") {
    // scripts may not see the cookie (HttpOnly): they must not be told it here
    const information = withoutIdentity(requesterInformation(connection));
    const text = stringify(information, request.config);
    return server.sendMessage(connection, text);
  }
  if (typeof named === "string" && mayNameAction(connection, request, named))
    params.action = named;
  if (!isMethodAccepted(connection, request.method)) params.action = null;
  if (params.action === null && request.config.strictHttp === true)
    refuseMethod(connection, request, named);
  checkCallback(request.config, params);
  return server.processAction(connection);
}

/**
 * With `strictPaths` a path that cannot be decoded names nothing (RFC 3986 section 2.1).
 * @throws BodyError
 */
function checkEncoding(pathname: string): void {
  if (!pathname.includes("%")) return;
  try {
    decodeURIComponent(pathname);
  } catch (cause) {
    throw new BodyError(400, "the path is not encoded correctly", { cause });
  }
}

/** Set `params.file` to the path that was asked for, unless a route to a folder does. */
function nameFile(connection: Connection, { target }: WebRequest): void {
  const { params } = connection;
  api.routes.processRoute(connection, target.pathParts);
  let file = String(params.file || target.pathParts.join(path.sep));
  if (file === "" || file.endsWith("/"))
    file += String(allConfig.general?.directoryFileType ?? "index.html");
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
  { responseHeaders }: WebRequest,
): Promise<void> {
  for (const [name, value] of Object.entries(CORS_DEFAULTS)) {
    if (valueOf(responseHeaders, name.toLowerCase()) === undefined)
      responseHeaders.push([name, value]);
  }
  return server.sendMessage(connection, "");
}
