/** Calls by fetch. */
import { jsonOf, pause, type Answer, type Call, type Send } from "./call";
import { ClientError } from "./errors";
import { pairsOf } from "./fields";
import { hasFiles, multipart, type Body } from "./multipart";
import type { HttpOptions } from "./types";

const DEFAULT_RETRIES = 2;
/** The server, or what stands before it, is busy or not there yet. */
const TRY_AGAIN = [429, 502, 503, 504];
/** The first wait before another attempt, in ms; each is twice as long, and by chance down to a half of it. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;

interface Request {
  url: string;
  init: RequestInit & { duplex?: "half" };
  body: Body | undefined;
  /** Whether a second request does no harm, and can have the same body. */
  isSafe: boolean;
}

/** Keeps cookies where the environment does not. */
export interface CookieStore {
  header(): string | undefined;
  keep(response: Response): void;
}

export function httpSender(options: HttpOptions, cookies?: CookieStore): Send {
  const { retries = DEFAULT_RETRIES } = options;
  return async (call) => {
    for (let attempt = 0; ; attempt++) {
      const request = await requestOf(call, options, cookies);
      const mayRetry = request.isSafe && attempt < retries;
      const response = await ask(request, options, call.signal).catch(
        (error: unknown) => {
          if (call.signal.aborted || !mayRetry) throw error;
          return undefined;
        },
      );
      if (response) {
        cookies?.keep(response);
        if (!mayRetry || !TRY_AGAIN.includes(response.status))
          return answerOf(response, call.signal);
        void response.body?.cancel().catch(() => undefined);
      }
      await pause(pauseBefore(attempt, response), call.signal);
    }
  };
}

async function ask(
  { url, init, body }: Request,
  options: HttpOptions,
  signal: AbortSignal,
): Promise<Response> {
  const send = options.fetch ?? fetch;
  try {
    return await send(url, { ...init, signal });
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw body?.failure ?? failureOf(cause);
  }
}

/** What fetch rejected with, as far as it tells whether the request was sent. */
function failureOf(cause: unknown): ClientError {
  const inner = (cause as { cause?: unknown } | undefined)?.cause;
  if (isUnsent(cause) || isUnsent(inner))
    return new ClientError("UNREACHABLE", "the server cannot be reached", {
      cause,
    });
  const text = "the connection was lost before the server answered";
  return new ClientError("CONNECTION_LOST", text, { cause });
}

/** Calls of the system that come before any byte is sent, as node names them in its errors. */
const BEFORE_SENDING = ["connect", "getaddrinfo"];
/** The same, where there is only a code: of the address, of undici, of certificates, of Bun. */
const NOT_CONNECTED =
  /^(?:ERR_INVALID_URL|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_CERT_ALTNAME_INVALID|CERT_(?:HAS_EXPIRED|NOT_YET_VALID|UNTRUSTED)|(?:DEPTH_ZERO_)?SELF_SIGNED_CERT(?:_IN_CHAIN)?|UNABLE_TO_(?:GET_ISSUER_CERT(?:_LOCALLY)?|VERIFY_LEAF_SIGNATURE)|ConnectionRefused|FailedToOpenSocket)$/;

/** Whether an error proves that nothing was sent; of several addresses, each must. */
function isUnsent(error: unknown): boolean {
  const { code, syscall, errors } = Object(error) as Record<string, unknown>;
  if (Array.isArray(errors) && errors.length > 0) return errors.every(isUnsent);
  return (
    BEFORE_SENDING.includes(String(syscall)) || NOT_CONNECTED.test(String(code))
  );
}

function pauseBefore(attempt: number, response: Response | undefined): number {
  const seconds = Number(response?.headers.get("retry-after") ?? NaN);
  const longest = FIRST_PAUSE_MS * 2 ** attempt;
  const ms =
    seconds >= 0 ? seconds * 1000 : longest * (0.5 + Math.random() / 2);
  return Math.min(ms, LONGEST_PAUSE_MS);
}

async function answerOf(
  response: Response,
  signal: AbortSignal,
): Promise<Answer> {
  const { status } = response;
  let text: string;
  try {
    text = await response.text();
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw new ClientError("CONNECTION_LOST", "the answer ended too early", {
      cause,
      status,
    });
  }
  if (text === "") return { body: undefined, status };
  try {
    return { body: JSON.parse(text) as unknown, status };
  } catch {
    const begin = text.trim().slice(0, 80);
    throw new ClientError(
      "INVALID_RESPONSE",
      `the server answered ${status} with what is no JSON: ${begin}`,
      { status },
    );
  }
}

async function requestOf(
  { name, params, options }: Call,
  { url, apiPath = "/api", routes, headers, credentials }: HttpOptions,
  cookies: CookieStore | undefined,
): Promise<Request> {
  const files = hasFiles(params);
  const { method, path, rest } = routed(name, params, routes);
  const isRead = method === "GET" || method === "HEAD";
  const query = isRead && !files ? Object.entries(rest).flatMap(pairsOf) : [];
  if (path === undefined) query.unshift(["action", name]);

  const body = isRead ? undefined : files ? multipart(rest) : json(name, rest);
  const cookie = cookies?.header();
  const base = url.replace(/\/+$/, "");
  const text = query
    .map((pair) => pair.map(encodeURIComponent).join("="))
    .join("&");
  return {
    url: `${base}${apiPath}${path ?? ""}${text && `?${text}`}`,
    body,
    isSafe: isRead || (options.idempotencyKey !== undefined && !body?.duplex),
    init: {
      method,
      credentials: credentials ?? "same-origin",
      headers: {
        Accept: "application/json",
        ...body?.headers,
        ...(cookie && { Cookie: cookie }),
        ...(typeof headers === "function" ? await headers() : headers),
        ...(options.idempotencyKey !== undefined && {
          "Idempotency-Key": options.idempotencyKey,
        }),
        ...options.headers,
      },
      ...(body && { body: body.content }),
      ...(body?.duplex && { duplex: body.duplex }),
    },
  };
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
  const [method, pattern] = routes?.[name] ?? [];
  const rest = { ...params };
  let isComplete = pattern !== undefined;
  const path = pattern?.replace(/:([\w-]+)(\([^/]*\))?/g, (_, key: string) => {
    const value = rest[key];
    isComplete &&= value !== undefined && value !== null && value !== "";
    delete rest[key];
    return encodeURIComponent(String(value));
  });
  if (!isComplete || (hasFiles(params) && /^(get|head)$/i.test(method!)))
    return { method: "POST", path: undefined, rest: params };
  return { method: method!.toUpperCase(), path, rest };
}
