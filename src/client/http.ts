/** Calls by fetch. */
import {
  jsonOf,
  pause,
  withSignal,
  type Reply,
  type Call,
  type Send,
  ClientError,
} from "./call";
import {
  type Body,
  hasFiles,
  isQueryable,
  multipart,
  pairsOf,
} from "./multipart";
import type { HttpOptions } from "./types";

const DEFAULT_RETRIES = 2;
/** Statuses of a server or proxy that is busy or not available yet. */
const TRY_AGAIN = [429, 502, 503, 504];
/** The first delay before a retry, in ms; it doubles each time, and is randomly reduced by up to half. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
/** A longer `Retry-After` is not obeyed. */
const LONGEST_RETRY_AFTER_MS = 60_000;
const REDIRECTS = [301, 302, 303, 307, 308];
const MAX_REDIRECTS = 5;
/** Statuses whose responses have no body. */
const NO_CONTENT = [204, 205];

interface Request {
  url: string;
  init: RequestInit & { duplex?: "half" };
  body: Body | undefined;
  /** Whether a repeated request is harmless, and can have the same body. */
  isSafe: boolean;
}

/** Keeps cookies where the environment does not. */
export interface CookieStore {
  /** The header `Cookie` for a URL. */
  header(url: string): string | undefined;
  /** Stores the cookies that the `Set-Cookie` lines of a response from the URL set. */
  keep(lines: string[], url: string): void;
}

/**
 * @param cookies undefined in a browser, where a URL may be relative
 * @throws {ClientError} UNSUPPORTED for a URL without a server
 */
export function httpSender(options: HttpOptions, cookies?: CookieStore): Send {
  if (cookies) requireServer(options.url);
  const { retries = DEFAULT_RETRIES } = options;
  return async (call) => {
    refuseSession(call);
    let wasSent = false;
    for (let attempt = 0; ; attempt++) {
      const request = await requestOf(call, options);
      const outcome: Response | ClientError = await follow(
        request,
        ask(options, call.signal, cookies),
      ).catch((error: unknown) => {
        if (call.signal.aborted || !(error instanceof ClientError)) throw error;
        return error;
      });
      const isFailure = outcome instanceof ClientError;
      const ms = pauseBefore(attempt, isFailure ? undefined : outcome.headers);
      const patience = Math.min(
        call.deadline - performance.now(),
        LONGEST_RETRY_AFTER_MS,
      );
      const isRetried =
        request.isSafe &&
        attempt < retries &&
        mayRetry(outcome) &&
        ms < patience;
      if (!isRetried) {
        if (!isFailure) return replyOf(outcome, call.signal);
        throw wasSent ? lost(outcome.cause) : outcome;
      }
      wasSent ||= !isFailure || outcome.code !== "UNREACHABLE";
      if (!isFailure) discard(outcome);
      await pause(ms, call.signal);
    }
  };
}

/** @throws {ClientError} UNSUPPORTED */
function refuseSession({ options }: Call): void {
  if (!options.sessionToken) return;
  throw new ClientError(
    "UNSUPPORTED",
    "sessionToken is for websockets and TCP: over HTTP, the session is that of the cookie",
  );
}

/** Whether the same request may succeed later. */
function mayRetry(outcome: Response | ClientError): boolean {
  return outcome instanceof ClientError || TRY_AGAIN.includes(outcome.status);
}

function requireServer(url: string): void {
  try {
    new URL(url);
  } catch (cause) {
    const text =
      url === ""
        ? "an empty url is for pages: here, it names the server"
        : `${url} is no URL of a server`;
    throw new ClientError("UNSUPPORTED", text, { cause });
  }
}

function discard({ body }: Response): void {
  void body?.cancel().catch(() => undefined);
}

type Ask = (request: Request) => Promise<Response>;

/**
 * Redirects of other methods than GET are followed here, because fetch silently changes some of them to a GET
 * without params. A redirect that is not followed is the response.
 */
async function follow(request: Request, send: Ask): Promise<Response> {
  for (let hops = 0; ; hops++) {
    const response = await send(request);
    const next = hops < MAX_REDIRECTS && redirected(request, response);
    if (!next) return response;
    discard(response);
    request = next;
  }
}

/** The request for the target of a redirect, with the same method and body. */
function redirected(
  request: Request,
  { status, headers }: Response,
): Request | undefined {
  const { url, init, body } = request;
  const location = headers.get("location");
  if (init.redirect !== "manual" || body?.duplex) return undefined;
  if ((status !== 307 && status !== 308) || !location) return undefined;
  if (!URL.canParse(location, url)) return undefined;
  const next = new URL(location, url);
  if (!/^https?:$/.test(next.protocol)) return undefined;
  const kept = new Headers(init.headers);
  // like fetch: credentials are only for the original server
  if (next.origin !== new URL(url).origin)
    for (const name of ["Authorization", "Cookie", "Proxy-Authorization"])
      kept.delete(name);
  return { ...request, url: next.href, init: { ...init, headers: kept } };
}

/** One request, with the cookies of its target. */
function ask(
  options: HttpOptions,
  signal: AbortSignal,
  cookies: CookieStore | undefined,
): Ask {
  const send = options.fetch ?? fetch;
  return async ({ url, init, body }) => {
    const headers = new Headers(init.headers);
    const cookie = cookies?.header(url);
    if (cookie && !headers.has("Cookie")) headers.set("Cookie", cookie);
    let response: Response;
    try {
      response = await send(url, { ...init, headers, signal });
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      throw body?.failure ?? failureOf(cause);
    }
    cookies?.keep(response.headers.getSetCookie(), response.url || url);
    return response;
  };
}

/** The error for a rejection of fetch, depending on whether the request was sent. */
function failureOf(cause: unknown): ClientError {
  const inner = (cause as { cause?: unknown } | undefined)?.cause;
  if (isUnsent(cause) || isUnsent(inner))
    return new ClientError("UNREACHABLE", "the server cannot be reached", {
      cause,
    });
  return lost(cause);
}

function lost(cause: unknown): ClientError {
  const text = "the connection was lost before the server answered";
  return new ClientError("CONNECTION_LOST", text, { cause });
}

/** System calls that precede the first sent byte, as named in errors of node. */
const BEFORE_SENDING = ["connect", "getaddrinfo"];
/** Errors before the first sent byte that have only a code: of the address, of undici, of certificates, of Bun. */
const NOT_CONNECTED =
  /^(?:ERR_INVALID_URL|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_CERT_ALTNAME_INVALID|CERT_(?:HAS_EXPIRED|NOT_YET_VALID|UNTRUSTED)|(?:DEPTH_ZERO_)?SELF_SIGNED_CERT(?:_IN_CHAIN)?|UNABLE_TO_(?:GET_ISSUER_CERT(?:_LOCALLY)?|VERIFY_LEAF_SIGNATURE)|ConnectionRefused|FailedToOpenSocket)$/;

/** Whether an error proves that nothing was sent; with several addresses, the error of each must. */
function isUnsent(error: unknown): boolean {
  const { code, syscall, errors } = Object(error) as Record<string, unknown>;
  if (Array.isArray(errors) && errors.length > 0) return errors.every(isUnsent);
  return (
    BEFORE_SENDING.includes(String(syscall)) || NOT_CONNECTED.test(String(code))
  );
}

function pauseBefore(attempt: number, headers: Headers | undefined): number {
  const asked = headers && retryAfter(headers);
  if (asked !== undefined) return asked;
  const longest = Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS);
  return longest * (0.5 + Math.random() / 2);
}

/** `Retry-After` in ms: given as seconds, or as a date by the server's clock (RFC 9110 section 10.2.3). */
function retryAfter(headers: Headers): number | undefined {
  const text = (headers.get("retry-after") ?? "").trim();
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const time = /[a-z]{3}/i.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(time)) return undefined;
  const now = Date.parse(headers.get("date") ?? "") || Date.now();
  return Math.max(0, time - now);
}

async function replyOf(
  response: Response,
  signal: AbortSignal,
): Promise<Reply> {
  const { status, type, headers } = response;
  if (type === "opaqueredirect" || REDIRECTS.includes(status)) {
    discard(response);
    const where = headers.get("location") ?? "another URL";
    throw new ClientError(
      "INVALID_RESPONSE",
      `the server redirects to ${where}, where the call was not sent: use the URL of that server`,
      { status },
    );
  }
  let text: string;
  try {
    text = await response.text();
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw new ClientError("CONNECTION_LOST", "the response ended too early", {
      cause,
      status,
    });
  }
  // the other transports send {}
  if (text === "")
    return { body: NO_CONTENT.includes(status) ? {} : undefined, status };
  try {
    return { body: JSON.parse(text) as unknown, status };
  } catch {
    const begin = text.trim().slice(0, 80);
    throw new ClientError(
      "INVALID_RESPONSE",
      `the server answered ${status} with something other than JSON: ${begin}`,
      { status },
    );
  }
}

async function requestOf(call: Call, options: HttpOptions): Promise<Request> {
  const { name, params } = call;
  const { credentials = "same-origin", apiPath = "/api" } = options;
  const { method, path, rest } = routed(name, params, options.routes);
  const isRead = method === "GET" || method === "HEAD";
  const body = isRead ? undefined : bodyOf(name, rest);
  const query = isRead ? Object.entries(rest).flatMap(pairsOf) : [];
  if (path === undefined) query.unshift(["action", name]);

  const base = options.url.replace(/\/+$/, "");
  return {
    url: `${base}${apiPath}${path ?? ""}${queryOf(query)}`,
    body,
    isSafe: isRead || isIdempotent(call, body),
    init: {
      method,
      redirect: isRead ? "follow" : "manual",
      credentials,
      headers: await headersOf(call, options, body),
      ...(body && initOf(body)),
    },
  };
}

function initOf({ content, duplex }: Body): RequestInit {
  return { body: content, ...(duplex && { duplex }) };
}

/** With an idempotency key, the server runs a repeated request once; a stream can only be sent once. */
function isIdempotent({ options }: Call, body: Body | undefined): boolean {
  return options.idempotencyKey !== undefined && !body?.duplex;
}

/** The headers of the call, over its token and key, over the headers of the client, over the usual ones. */
async function headersOf(
  { options, signal }: Call,
  { headers }: HttpOptions,
  body: Body | undefined,
): Promise<Headers> {
  const { idempotencyKey, accessToken, headers: ofCall } = options;
  const ofClient =
    typeof headers === "function"
      ? await withSignal(signal, Promise.resolve(headers()))
      : headers;
  const all = new Headers({ Accept: "application/json", ...body?.headers });
  const add = (more: Record<string, string> = {}) => {
    for (const [name, value] of Object.entries(more)) all.set(name, value);
  };
  add(ofClient);
  if (typeof accessToken === "string")
    all.set("Authorization", `Bearer ${accessToken}`);
  if (idempotencyKey !== undefined) all.set("Idempotency-Key", idempotencyKey);
  add(ofCall);
  return all;
}

function queryOf(pairs: string[][]): string {
  const text = pairs
    .map((pair) => pair.map(encodeURIComponent).join("="))
    .join("&");
  return text && `?${text}`;
}

function bodyOf(name: string, params: Record<string, unknown>): Body {
  return hasFiles(params) ? multipart(name, params) : json(name, params);
}

function json(name: string, params: Record<string, unknown>): Body {
  return {
    content: jsonOf(name, params),
    headers: { "Content-Type": "application/json" },
  };
}

/** The route of an action with its path filled in; the params that are not part of it are left. */
function routed(
  name: string,
  params: Record<string, unknown>,
  routes: HttpOptions["routes"],
) {
  const keys = [`${name}@${params.apiVersion as number}`, name];
  const key = keys.find((one) => routes && Object.hasOwn(routes, one));
  const [method, pattern] = key === undefined ? [] : routes![key]!;
  const rest = { ...params };
  let isComplete = pattern !== undefined;
  const path = pattern?.replace(/:([\w-]+)(\([^/]*\))?/g, (_, part: string) => {
    const text = pathText(rest[part]);
    isComplete &&= text !== "";
    delete rest[part];
    return encodeURIComponent(text);
  });
  if (!isComplete || isResolved(path!) || !fits(method!, rest, params))
    return { method: "POST", path: undefined, rest: params };
  return { method: method!.toUpperCase(), path, rest };
}

/** A value as in a query; empty for what a query would change, and for lists and objects. */
function pathText(value: unknown): string {
  const isNested = typeof value === "object" && !(value instanceof Date);
  if (isNested || !isQueryable(value, 0)) return "";
  const [pair] = pairsOf(["", value]);
  return pair?.[1] ?? "";
}

/** `fetch` resolves `.` and `..`, escaped or not: the path would lead to another action. */
function isResolved(path: string): boolean {
  return path.split("/").some((part) => part === "." || part === "..");
}

/** Whether the params reach the server by this method as they are. */
function fits(method: string, rest: object, params: object): boolean {
  if (!/^(get|head)$/i.test(method)) return true;
  return !hasFiles(params as Record<string, unknown>) && isQueryable(rest, 0);
}
