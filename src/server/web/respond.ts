/** Builds the HTTP response from the response of an action. */
import type { Action } from "../../action/action";
import type { ActionProcessor } from "../../action/actionProcessor";
import { requestsRemaining } from "../../action/rateLimit";
import { ActionsStatus, usualStatus } from "../../action/status";
import { api } from "../../api";
import { serializeError } from "../../config/errorMessage";
import { settings, type WebSettings } from "../../config/settings";
import type { Connection } from "../../connection/connection";
import { shownIdentity } from "../../connection/verbs";
import { HttpError, httpFactsOf } from "../../errors";
import { jsonForClients } from "../../exposure/json";
import { redactForLogging } from "../../log/filters";
import { isThenable } from "../../utils/promises";
import { RETRY_AFTER_SECONDS } from "../../overload/overload";
import { withFields } from "../../utils/objects";
import { isActiveType } from "./contentType";
import { JSON_TYPE, NOSNIFF, valueOf } from "./headers";
import type { WebRequest } from "./webRequest";
import { STATUS_CODES } from "node:http";
import { qualitiesOf } from "./compression";
import { prefixParts } from "../requestTarget";
import { writeBody } from "./write";

import mime = require("mime");

/** The source of a body: an action's data, or a minimal substitute if no action ran. */
export type Outcome = Pick<
  ActionProcessor,
  "response" | "params" | "actionStatus" | "actionTemplate"
>;

const NO_FIELDS: Record<string, unknown> = Object.freeze({});

/** Details about the client and its request. */
export interface RequesterInformation {
  id: string;
  fingerprint: string;
  messageId: string | number;
  remoteIP: string;
  receivedParams: { [key: string]: any };
  /** With `config.general.rateLimit`: the number of remaining actions. */
  RequestsRemaining?: number;
}

/** Details about the server. */
export interface ServerInformation {
  serverName: string;
  apiVersion: string;
  /** ms. */
  requestDuration: number;
  /** ms since the epoch. */
  currentTime: number;
}

/**
 * Set the status and headers of the request, and build its body.
 * @returns a promise only if the project's error serializer is async
 * @throws TypeError when the response cannot be encoded as JSON
 */
export function renderBody(
  connection: Connection,
  request: WebRequest,
  outcome: Outcome,
): string | Buffer | Promise<string | Buffer> {
  const response: unknown = outcome.response ?? {};
  if (!isObject(response)) {
    if (outcome.actionStatus === ActionsStatus.Complete)
      matchMimeType(connection, request, outcome);
    return serialize(request, outcome, response);
  }

  const { error } = response as { error?: unknown };
  if (!error) {
    matchMimeType(connection, request, outcome);
    return serialize(
      request,
      outcome,
      withMetadata(connection, request, outcome, response),
    );
  }
  const isWrongMethod =
    connection.otherMethods !== undefined &&
    outcome.actionStatus === ActionsStatus.UnknownAction;
  if (isWrongMethod && request.config.returnErrorCodes)
    request.responseHttpCode = 405;
  applyErrorStatus(request, outcome.actionStatus, error);
  const serialized = serializeError("web", error);
  const finish = (text: unknown) =>
    serialize(
      request,
      outcome,
      withMetadata(
        connection,
        request,
        outcome,
        hasOnlyError(response)
          ? { error: text }
          : withFields(response, { error: text }),
      ),
    );
  return isThenable(serialized)
    ? Promise.resolve(serialized).then(finish)
    : finish(serialized);
}

function hasOnlyError(response: object): boolean {
  for (const key in response) if (key !== "error") return false;
  return true;
}

/** Details about the client and its request, part of every response. */
export function requesterInformation(
  connection: Connection,
): RequesterInformation {
  const information: RequesterInformation = {
    ...shownIdentity(connection),
    messageId: connection.messageId,
    remoteIP: connection.remoteIP,
    receivedParams: echoedParams(connection),
  };
  const left = requestsRemaining(connection);
  if (left !== undefined) information.RequestsRemaining = left;
  return information;
}

/** The information without ids of the client, for responses that other sites may read. */
export function withoutIdentity(
  information: RequesterInformation,
): Partial<RequesterInformation> {
  const { id: _id, fingerprint: _fingerprint, ...others } = information;
  return others;
}

/** Whether properties can be added; strings, lists and bytes are sent unchanged. */
function isObject(response: unknown): response is Record<string, unknown> {
  return (
    typeof response === "object" &&
    response !== null &&
    !Array.isArray(response) &&
    !(response instanceof Uint8Array)
  );
}

function withMetadata(
  connection: Connection,
  request: WebRequest,
  outcome: Outcome,
  response: Record<string, unknown>,
): Record<string, unknown> {
  const { config } = request;
  const { serverInformation: isNamed, requesterInformation: isRepeated } =
    config.metadataOptions;
  const isLegacy = config.legacyEnvelope;
  if (!isNamed && !isRepeated && !isLegacy) return response;
  const complete =
    isPlain(response) || !Object.isExtensible(response)
      ? withFields(response, NO_FIELDS)
      : response;
  if (isNamed) complete.serverInformation = serverInformation(connection);
  if (isRepeated)
    // any web site can read JSONP
    complete.requesterInformation =
      callbackOf(config, outcome.params) === undefined
        ? requesterInformation(connection)
        : withoutIdentity(requesterInformation(connection));
  if (isLegacy) addLegacyEnvelope(complete, requesterInformation(connection));
  return complete;
}

/** Only plain objects are equal when copied: others may have a `toJSON` method. */
function isPlain(response: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(response);
  return prototype === Object.prototype || prototype === null;
}

function serverInformation(connection: Connection): ServerInformation {
  const { serverName, apiVersion } = settings().general;
  const now = Date.now();
  return {
    serverName,
    apiVersion,
    requestDuration: now - connection.connectedAt,
    currentTime: now,
  };
}

/** The params that any action accepts, without those of `general.filteredParams`; other input is not echoed. */
function echoedParams({ params }: Connection): { [key: string]: any } {
  const isOpen = settings().general.disableParamScrubbing;
  const { postVariables } = api.params;
  const received: { [key: string]: any } = {};
  for (const key of Object.keys(params)) {
    if (isOpen || postVariables.includes(key))
      received[key] = params[key] as unknown;
  }
  return redactForLogging(received) as typeof received;
}

/**
 * Set the status and headers of an error. The action's own status takes precedence (over an `HttpError`, and with
 * `web.strictHttp` over any error, only if it is an error status), then the status of the error (with `web.strictHttp` only an
 * error status, since codes of databases are numbers, too), then its kind.
 */
export function applyErrorStatus(
  request: WebRequest,
  status: ActionsStatus | null,
  error: unknown,
): void {
  const { config } = request;
  const facts = httpFactsOf(error);
  for (const name of Object.keys(facts.headers))
    request.responseHeaders.push([name, facts.headers[name]]);
  if (!config.returnErrorCodes) return;
  const own = request.responseHttpCode;
  const mayBeSuccess = !facts.isExplicit && !config.strictHttp;
  if (own !== 200 && (mayBeSuccess || Number(own) >= 400)) return;
  const { status: wanted = 0 } = facts;
  if (wanted >= 400 || (wanted > 0 && !config.strictHttp)) {
    request.responseHttpCode = wanted;
    return;
  }
  const usual = usualStatus(status, error, config);
  request.responseHttpCode = usual;
  // redis is away, or the server is shutting down
  if (usual === 503) request.setDefault("Retry-After", RETRY_AFTER_SECONDS);
}

function matchMimeType(
  { extension }: Connection,
  request: WebRequest,
  { actionTemplate, params, response }: Outcome,
): void {
  if (extension === undefined) return;
  const { matchExtensionMimeType } = (actionTemplate ?? {}) as Partial<Action>;
  if (
    matchExtensionMimeType !== true ||
    !(params as { apiVersion?: unknown }).apiVersion
  )
    return;
  const type = mime.getType(extension);
  if (!type || request.projectValueOf("content-type") !== undefined) return;
  if (isActiveType(type)) {
    if (!isTextOrBytes(response) || request.config.extensionTypes === "safe")
      return;
    request.setDefault(...NOSNIFF);
  }
  request.setDefault("Content-Type", type);
}

function isTextOrBytes(response: unknown): response is string | Uint8Array {
  return typeof response === "string" || response instanceof Uint8Array;
}

function serialize(
  request: WebRequest,
  outcome: Outcome,
  response: unknown,
): string | Buffer {
  const { config } = request;
  if (request.hasOwnHeaders || hasContentType(config)) {
    const type = valueOf(request.responseHeaders, "content-type") ?? "";
    if (!mayHaveType(type, outcome))
      request.responseHeaders.push(["Content-Type", JSON_TYPE]);
    else if (!type.includes("json")) return asBody(response, config);
  }
  const json = stringify(response, config);
  const callback = callbackOf(config, outcome.params);
  if (callback === undefined) return json;
  request.responseHeaders.push(
    ["Content-Type", "application/javascript"],
    [...NOSNIFF],
  );
  return padJsonp(callback, json, config.jsonp === "strict");
}

/**
 * Browsers run the contents of a document of an active type. It is allowed for strings and bytes that an action
 * built, but not for the JSON of an object or an error, which may contain client input.
 */
function mayHaveType(
  type: string,
  { response, actionStatus }: Outcome,
): boolean {
  if (!isActiveType(type)) return true;
  return isTextOrBytes(response) && actionStatus === ActionsStatus.Complete;
}

/** Whether the project's default headers set a type. */
function hasContentType({ httpHeaders }: WebSettings): boolean {
  for (const name in httpHeaders)
    if (name.length === 12 && name.toLowerCase() === "content-type")
      return true;
  return false;
}

/** For types other than JSON: bytes and strings unchanged. */
function asBody(response: unknown, config: WebSettings): string | Buffer {
  if (Buffer.isBuffer(response)) return response;
  if (response instanceof Uint8Array) return Buffer.from(response);
  return typeof response === "object"
    ? stringify(response, config)
    : `${response as string}`;
}

/** @throws TypeError for values that JSON cannot represent: circular references, BigInt */
export function stringify(value: unknown, { padding }: WebSettings): string {
  return jsonForClients(value, padding);
}

/**
 * The fields that version 3 added to every response, including its misspelling (`web.legacyEnvelope`); modifies the
 * response.
 */
function addLegacyEnvelope(
  response: Record<string, unknown>,
  requester: RequesterInformation,
): void {
  const { remoteIP, RequestsRemaining, receivedParams } = requester;
  response.requestorInformation = {
    remoteAddress: remoteIP,
    RequestsRemaining, // undefined, which JSON omits, without a limit
    recievedParams: receivedParams,
  };
  response.error ??= "OK";
}

// --- JSONP: wraps JSON in the call requested by `?callback=` (`config.web.jsonp`).

/** The most general name of a callback: `app.callbacks[1]`. */
const STRICT = /^[\w$.[\]]{1,128}$/;

type Settings = Pick<WebSettings, "jsonp">;

/** The name of the callback function; undefined for plain JSON. */
export function callbackOf(
  { jsonp }: Settings,
  params: { callback?: unknown },
): string | undefined {
  if (jsonp === false) return undefined;
  const { callback } = params;
  if (typeof callback !== "string" || callback === "") return undefined;
  return jsonp === "strict" && !STRICT.test(callback) ? undefined : callback;
}

/** @throws HttpError for a callback that `"strict"` does not allow */
export function checkCallback(
  { jsonp }: Settings,
  { callback }: { callback?: unknown },
): void {
  if (jsonp !== "strict" || !callback) return;
  if (typeof callback !== "string" || !STRICT.test(callback))
    throw new HttpError(400, "callback is not the name of a function");
}

/**
 * @param isStrict the name was validated; the comment prevents other programs from parsing the start as their own
 * format
 */
export function padJsonp(
  callback: string,
  json: string,
  isStrict: boolean,
): string {
  // valid in JSON, but a line end in old JavaScript
  const script = json
    .replace(/\u2028/g, "\\u2028")
    .replace(/\u2029/g, "\\u2029");
  return isStrict
    ? `/**/${callback}(${script});`
    : `${sanitizeCallback(callback)}(${script});`;
}

/** Removes calls, assignments, templates and blocks, so that the rest can only name a function. */
function sanitizeCallback(callback: string): string {
  return escapeHtml(callback.replace(/[()`={}\\\r\n]/g, ""));
}

// --- Error responses to requests for files: an HTML page for browsers (`config.web.errorPages`), otherwise a short
// text.

const PAGE_TYPE = "text/html; charset=utf-8";

interface FileError {
  status: number;
  text: string;
  /** The content type of the text. */
  type: string;
}

/**
 * Respond with an error in place of a file.
 * @throws TypeError when a header of the project is not valid
 */
export async function respondWithFileError(
  request: WebRequest,
  { status, text, type }: FileError,
): Promise<void> {
  const { config, req, responseHeaders } = request;
  request.responseHttpCode = status;
  if (!config.errorPages) {
    responseHeaders.push(["Content-Type", type]);
    return writeBody(request, text);
  }
  responseHeaders.push(["Vary", "Accept"]);
  const isPage = prefersHtml(req.headers.accept);
  responseHeaders.push(["Content-Type", isPage ? PAGE_TYPE : type]);
  const body = isPage ? pageOf(status, text, config.urlPathForFiles) : text;
  await writeBody(request, body);
}

/** Whether `text/html` has the highest q-value; of equal types the first one counts. */
function prefersHtml(accept: string | undefined): boolean {
  let best = "";
  let bestQuality = 0;
  for (const [type, quality] of qualitiesOf(accept ?? "")) {
    if (quality <= bestQuality) continue;
    best = type;
    bestQuality = quality;
  }
  return best === "text/html";
}

/** A page without scripts. It loads the style sheet of the pages in `public`, and is readable without it. */
function pageOf(
  status: number,
  text: string,
  prefix: string | null | undefined,
): string {
  const title = `${status} ${STATUS_CODES[status] ?? "Error"}`;
  const parts = prefixParts(prefix) ?? [];
  const files = parts.map((part) => `/${encodeURIComponent(part)}`).join("");
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>${title}</title>
    <link rel="icon" href="${files}/favicon.svg" type="image/svg+xml" />
    <link rel="stylesheet" href="${files}/css/actionhero.css" />
  </head>
  <body>
    <main>
      <h1>${title}</h1>
      <p>${escapeHtml(text)}</p>
      <p><a href="/">To the start page</a></p>
    </main>
  </body>
</html>
`;
}

// --- Texts in HTML.

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  '"': "&quot;",
  "'": "&#39;",
  "<": "&lt;",
  ">": "&gt;",
};

/** The text for an element or an attribute in quotes. */
function escapeHtml(text: string): string {
  return text.replace(/[&"'<>]/g, (character) => ENTITIES[character]!);
}
