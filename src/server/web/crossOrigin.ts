/** Cross-origin requests: CORS headers, preflight requests, and protection against CSRF. */
import { HttpError } from "../../errors";
import { type Cors, currentCors, isForgedRequest } from "../cors";
import { allowOrigin } from "./headers";
import type { WebRequest } from "./webRequest";

/** The header names that a script requests. */
const HEADER_NAMES = /^[\w!#$%&'*+.^`|~, -]{1,1024}$/;

/** With `web.cors`: allow the origin of the request to read the response, if permitted. */
export function addCorsHeaders(request: WebRequest): void {
  const cors = currentCors();
  if (cors === undefined || cors.isForAll) return; // the same for all origins: a default header
  const { origin } = request.req.headers;
  // `Vary` is a default header: a request without a list of its own is answered with the prepared ones
  if (origin !== undefined && cors.allows(origin))
    request.responseHeaders.push(...allowOrigin(cors, origin));
}

/**
 * With `web.cors`: responds to a preflight request.
 * @returns false for any other OPTIONS request, and without `web.cors`
 */
export function answerPreflight(request: WebRequest): boolean {
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
export function refuseForged({ req }: WebRequest): void {
  if (isForgedRequest(req))
    throw new HttpError(403, "requests of other sites are not allowed");
}
