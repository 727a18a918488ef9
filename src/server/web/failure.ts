/** Responds to requests that could not be processed. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Connection } from "../../connection/connection";
import { context } from "../../context/context";
import { serializeError } from "../../config/errorMessage";
import { errorText, httpFactsOf, StatusError, toError } from "../../errors";
import { isClientError, levelOf, shownToClients } from "../../exposure/errors";
import { isRefusalLogged, type RefusalKind } from "../../log/refusals";
import { RETRY_AFTER_SECONDS } from "../../overload/overload";
import { plainAddress } from "../../utils/addresses";
import { STARTING_TEXT } from "../booting";
import { isAllowedHost, originOfHost, schemeOf } from "../proxies";
import type { TargetFault } from "../requestTarget";
import {
  addRequestId,
  isValidPair,
  JSON_TYPE,
  securityPairsFor,
  setPolicyHeaders,
} from "./headers";
import type { Server } from "../server";
import {
  BodyError,
  RequestAborted,
  leaveBody,
  respondWithoutBody,
} from "./bodyRefusal";
import { applyErrorStatus, stringify, type Outcome } from "./respond";
import { settings, type WebSettings } from "../../config/settings";
import type { WebRequest } from "./webRequest";
import { writeExactly, canWrite, writeBody } from "./write";

/** Log lines of errors that a client can repeat at will. */
interface Refusal extends RefusalKind {
  message: string;
}

/** As version 29 has it. */
const REFUSED_BODY: Refusal = {
  message: "error processing form",
  what: "bodies",
  level: "error",
};
const REFUSED_REQUEST: Refusal = {
  message: "refused a request",
  what: "requests",
  level: "info",
};
const FAILED_REQUEST: Refusal = {
  message: "cannot respond to a request",
  what: "requests",
  level: "error",
};

/** Log the error, and return the outcome for the client. */
export async function prepareFailure(
  server: Server,
  connection: Connection,
  request: WebRequest,
  error: unknown,
): Promise<Outcome> {
  connection.error = error;
  await leaveBody(request);
  const shown = shownToClients(error);
  const facts = shown.id === undefined ? undefined : { errorId: shown.id };
  if (error instanceof BodyError) {
    if (!error.isLogged)
      logRefusal(server, request.req, error, bodyRefusal(error));
  } else if (isClientError(error)) {
    logRefusal(server, request.req, error, REFUSED_REQUEST);
  } else {
    server.log(
      `cannot respond to a request: ${errorText(error)}`,
      "error",
      facts,
    );
    // an invalid header may be the cause
    request.responseHeaders = request.responseHeaders.filter(isValidPair);
    request.responseHeaders.push(["Content-Type", JSON_TYPE]);
    resetStatusMessage(request.res);
  }
  return {
    response: { error: toError(shown.error) },
    params: connection.params,
    actionStatus: null,
    actionTemplate: null,
  };
}

/** Refuse a request during the boot. */
export function refuseWhileBooting(
  req: IncomingMessage,
  res: ServerResponse,
): void {
  for (const [name, value] of securityPairsFor(req)) res.setHeader(name, value);
  respondWithoutBody({ req, res, saidContinue: false }, () => {
    res.writeHead(503, {
      "content-type": JSON_TYPE,
      "retry-after": RETRY_AFTER_SECONDS,
      connection: "close",
    });
    res.end(JSON.stringify({ error: STARTING_TEXT }));
  });
}

/** An invalid body is logged like any refusal, unless the project keeps version 29's line. */
function bodyRefusal(error: BodyError): Refusal {
  const level = levelOf(error);
  return level === "error"
    ? REFUSED_BODY
    : { ...REFUSED_REQUEST, what: "bodies", level };
}

/**
 * Respond to a client without a connection (its `create` middleware failed, or it exceeded a limit). Only an error with
 * a status is shown.
 */
export async function respondRefused(
  server: Server,
  request: WebRequest,
  error: unknown,
): Promise<void> {
  const { status = 0 } = httpFactsOf(error);
  if (status < 400 || !canWrite(request.res))
    return respondPlainly(server, request.res, error);
  const code = error instanceof StatusError ? error.code : undefined;
  // what is refused by `general.overload` has one line for all
  if (code === undefined)
    logRefusal(server, request.req, error, REFUSED_REQUEST);
  applyErrorStatus(request, null, error);
  const body = { error: await serializeError("web", error), code };
  await writeBody(request, stringify(body, request.config));
}

/** The last resort: a fixed response, or none to a disconnected client. */
export function respondPlainly(
  server: Server,
  res: ServerResponse,
  error: unknown,
): void {
  if (error instanceof RequestAborted || !canWrite(res)) {
    res.destroy();
    return;
  }
  logRefusal(server, res.req, error, FAILED_REQUEST);
  const head = ["content-type", JSON_TYPE, ...securityPairsFor(res.req).flat()];
  if (settings().web.nosniff) head.push("x-content-type-options", "nosniff");
  addRequestId(head, context()?.id);
  resetStatusMessage(res);
  writeExactly(res, 500, head);
  res.end('{"error":"the request could not be answered"}');
}

function logRefusal(
  server: Server,
  { socket }: IncomingMessage,
  error: unknown,
  refusal: Refusal,
): void {
  const { type } = server;
  const client = {
    type,
    source: socket,
    to: plainAddress(socket.remoteAddress),
  };
  if (isRefusalLogged(client, refusal))
    server.log(`${refusal.message}: ${errorText(error)}`, refusal.level);
}

/** Reset the status message, which a failed attempt to write the head may have set. */
function resetStatusMessage(res: ServerResponse): void {
  res.statusMessage = "";
}

// --- Responds to requests with an ambiguous target or host, or a host that is not allowed.

/** Respond to a request that `normalizeTarget` does not accept. */
export function refuseTarget(
  req: IncomingMessage,
  res: ServerResponse,
  { status, text }: TargetFault,
  { nosniff }: WebSettings,
): void {
  setPolicyHeaders(req, res, nosniff);
  respondWithoutBody({ req, res, saidContinue: false }, () => {
    res.writeHead(status, { "content-type": JSON_TYPE, connection: "close" });
    res.end(JSON.stringify({ error: text }));
  });
}

/**
 * Redirect clients that use another host name to the first allowed one; with `strictHttp` they keep the method and
 * body (RFC 9110 section 15.4.8): after a 302 a POST becomes a GET.
 * @returns true when a redirect was sent
 */
export function redirectToAllowedHost(
  req: IncomingMessage,
  res: ServerResponse,
  config: WebSettings,
): boolean {
  const allowed = config.allowedRequestHosts;
  if (isAllowedHost(req, allowed)) return false;

  // a path without a leading slash would be appended to the host name
  const path = req.url === "*" ? "/" : req.url;
  const location = `${originOfHost(allowed[0]!, schemeOf(req))}${path}`;
  setPolicyHeaders(req, res, config.nosniff);
  respondWithoutBody({ req, res, saidContinue: false }, () => {
    const isRead = req.method === "GET" || req.method === "HEAD";
    const status = config.strictHttp && !isRead ? 307 : 302;
    res.writeHead(status, { Location: location });
    res.end(`You are being redirected to ${location}\r\n`);
  });
  return true;
}
