/**
 * Responds to HTTP requests below the websocket path that ask for no upgrade, and checks which sites may use the server.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { settings } from "../../config/settings";
import {
  currentCors,
  isOfAnotherSite,
  matchesOrigin,
  MAX_ORIGIN_LENGTH,
  mayHaveCredentials,
} from "../cors";
import { isSameOrigin } from "../proxies";
import type { PrimusOptions } from "../../config/types";

/** The version of Primus whose wire format is used. */
const PRIMUS_VERSION = "8.0.9";

/** The path of websockets: `/primus` unless configured. */
export function websocketPath(): string {
  const { pathname } = settings().websocket.server;
  return `/${pathname.replace(/^\/+|\/+$/g, "")}`;
}

/** Whether a URL is the path, or below it. */
export function isBelow(url: string, pathname: string): boolean {
  if (!url.startsWith(pathname)) return false;
  const next = url[pathname.length];
  return next === undefined || next === "/" || next === "?" || next === "#";
}

/**
 * Respond to a plain request with a description of the server, the browser library, or a hint to upgrade.
 * @param library the source of the browser library
 * @returns false if the request is not for this server
 */
export function respondToPlainRequest(
  req: IncomingMessage,
  res: ServerResponse,
  library: () => string,
): boolean {
  const pathname = websocketPath();
  const url = req.url ?? "/";
  if (!isBelow(url, pathname)) return false;
  const [below = ""] = url.slice(pathname.length).split(/[?#]/);
  addCorsHeaders(req, res);
  if (settings().web.nosniff)
    res.setHeader("X-Content-Type-Options", "nosniff");
  if (req.method === "OPTIONS") {
    res.writeHead(204).end();
    return true;
  }
  if (below === "/spec") {
    send(req, res, {
      type: "application/json",
      body: JSON.stringify(specOf()),
    });
  } else if (below === "/primus.js") {
    send(req, res, {
      type: "text/javascript; charset=utf-8",
      body: library(),
    });
  } else {
    res.setHeader(
      "Cache-Control",
      "no-store, no-cache, must-revalidate, max-age=0",
    );
    res.setHeader("Pragma", "no-cache");
    res.setHeader("Upgrade", "websocket");
    send(req, res, {
      status: 426,
      type: "text/plain",
      body: "Upgrade Required",
    });
  }
  return true;
}

export function specOf() {
  return {
    pingInterval: settings().websocket.server.pingInterval,
    pathname: websocketPath(),
    version: PRIMUS_VERSION,
    parser: "json",
    transformer: "websockets",
  };
}

function send(
  req: IncomingMessage,
  res: ServerResponse,
  { status = 200, type, body }: { status?: number; type: string; body: string },
): void {
  res.writeHead(status, {
    "Content-Type": type,
    "Content-Length": Buffer.byteLength(body),
  });
  res.end(req.method === "HEAD" ? undefined : body);
}

// --- Which web sites may use the server: the check of `Origin`, and the CORS headers of plain requests.

type Origins = NonNullable<PrimusOptions["origins"]>;

/**
 * Whether the origin of a request is allowed. Browsers always send the origin of a websocket; other clients could
 * send any value.
 */
export function isAllowedOrigin(
  origin: string | undefined,
  origins: Origins = settings().websocket.server.origins,
): boolean {
  if (origin === undefined) return true;
  if (origin.length > MAX_ORIGIN_LENGTH) return false;
  return listOf(origins).some((allowed) => matches(origin, allowed));
}

/**
 * Whether the cookie may identify the client. Browsers send it whichever page opens the websocket, but a page of
 * another site must not get the session of this browser, unless `origins` lists the site; `"*"` does not count.
 */
export function mayUseCookie(req: IncomingMessage): boolean {
  const { origin } = req.headers;
  const isOther = isOfAnotherSite(req);
  if (origin === undefined) return !isOther; // browsers send at least one of the two
  if (!isOther && isSameOrigin(req, origin)) return true;
  if (mayHaveCredentials(origin)) return true;
  const { origins } = settings().websocket.server;
  return isAllowedOrigin(origin, withoutStar(origins));
}

/** Respond to a preflight request, and set the CORS headers of any other response; `web.cors` may exclude the origin. */
export function addCorsHeaders(
  req: IncomingMessage,
  res: ServerResponse,
): void {
  const { origin } = req.headers;
  const options = settings().websocket.server;
  res.setHeader("Vary", "Origin"); // a cache must not give a page the response to a request without an origin
  if (origin === undefined || !isAllowedOrigin(origin)) return;
  if (currentCors()?.allows(origin) === false) return;
  res.setHeader("Access-Control-Allow-Origin", origin);
  if (options.credentials)
    res.setHeader("Access-Control-Allow-Credentials", "true");
  const exposed = namesOf(options.exposed);
  if (exposed) res.setHeader("Access-Control-Expose-Headers", exposed);
  if (req.method !== "OPTIONS") return;
  const methods = namesOf(options.methods);
  if (methods) res.setHeader("Access-Control-Allow-Methods", methods);
  const wanted = req.headers["access-control-request-headers"];
  if (typeof wanted === "string")
    res.setHeader("Access-Control-Allow-Headers", wanted);
  res.setHeader("Access-Control-Max-Age", secondsOf(options.maxAge));
}

function withoutStar(origins: Origins): Origins {
  if (origins instanceof RegExp) return origins;
  const list = Array.isArray(origins) ? origins : origins.split(",");
  return list.filter(
    (allowed) => typeof allowed !== "string" || allowed.trim() !== "*",
  );
}

function listOf(origins: Origins): (string | RegExp)[] {
  if (Array.isArray(origins)) return origins;
  return origins instanceof RegExp ? [origins] : origins.split(",");
}

/** A pattern is applied like in Primus: it may match a part of the origin. */
function matches(origin: string, allowed: string | RegExp): boolean {
  if (allowed instanceof RegExp) {
    allowed.lastIndex = 0;
    return allowed.test(origin);
  }
  return matchesOrigin(origin, allowed);
}

function namesOf(names: boolean | string | string[] | undefined): string {
  if (Array.isArray(names)) return names.join(", ");
  return typeof names === "string" ? names : "";
}

const UNIT_SECONDS: Record<string, number> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
};

/** A number of ms, or a string like `"30 days"`. */
function secondsOf(age: string | number): string {
  const [, amount, unit] =
    /^\s*(\d+(?:\.\d+)?)\s*(ms|[smhd])?/i.exec(String(age)) ?? [];
  if (amount === undefined) return "0";
  const factor = UNIT_SECONDS[(unit ?? "ms").toLowerCase()] ?? 1 / 1000;
  return String(Math.floor(Number(amount) * factor));
}
