/** `web.cors`: origins whose pages may read responses and send cookies. */
import type { IncomingMessage } from "node:http";
import type { AllowedOrigins, CorsOptions } from "../config/types";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import { remembered } from "../utils/objects";
import { isSameOrigin, synchronous } from "./proxies";

/** A compiled rule. */
export interface Cors {
  /** All origins are allowed, without cookies: responses do not depend on the origin. */
  isForAll: boolean;
  allows: (origin: string) => boolean;
  credentials: boolean;
  methods: string;
  headers: string | undefined;
  exposed: string | undefined;
  maxAge: string;
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
const MAX_AGE_SECONDS = 600;

const corsOf = remembered(
  (options: CorsOptions | undefined) => options && compile(options),
);

/**
 * The rule of `web.cors`, compiled once for each value; undefined when it is not set.
 * @throws ActionheroError AH_CONFIG for every origin with credentials
 */
export function currentCors(): Cors | undefined {
  return corsOf(settings().web.cors);
}

function compile({
  origins,
  credentials = false,
  methods = METHODS,
  headers,
  exposed = [],
  maxAge = MAX_AGE_SECONDS,
}: CorsOptions): Cors {
  const isForAll = names(origins, /^\*$/);
  if (credentials && names(origins, /^(?:\w+:\/\/)?\*$/))
    throw new ActionheroError(
      "AH_CONFIG",
      "web.cors cannot allow every origin with credentials: every web site could act for its visitors",
    );
  return {
    isForAll,
    allows: compileOrigins(origins),
    credentials,
    methods: methods.map((method) => method.toUpperCase()).join(", "),
    headers: headers?.join(", "),
    exposed: exposed.length > 0 ? exposed.join(", ") : undefined,
    maxAge: String(maxAge),
  };
}

// --- Compiles a setting of origins: origins, patterns, functions.

/** Longer than any host with its scheme and port: patterns of the project are not tried on more. */
export const MAX_ORIGIN_LENGTH = 512;

/** The origin of local files and sandboxed frames, which identifies no site. */
const OPAQUE = "null";

/** `"*"`, an origin, or one with a star for a part (`https://*.site.com`). */
export function matchesOrigin(origin: string, allowed: string): boolean {
  const wanted = allowed.trim().replace(/\/$/, "").toLowerCase();
  if (wanted === "*") return true;
  const [before = "", after] = wanted.split("*");
  const given = origin.toLowerCase();
  if (after === undefined) return given === wanted;
  return (
    given.length > before.length + after.length &&
    given.startsWith(before) &&
    given.endsWith(after) &&
    /^[a-z0-9.-]+$/.test(given.slice(before.length, -after.length || undefined))
  );
}

/** Whether a setting has an entry such as `"*"`. */
function names(origins: AllowedOrigins, entry: RegExp): boolean {
  if (typeof origins === "function" || origins instanceof RegExp) return false;
  return listOf(origins).some(
    (one) => typeof one === "string" && entry.test(one.trim()),
  );
}

/** The rule of a setting. A pattern has to match the whole origin. */
function compileOrigins(origins: AllowedOrigins): (origin: string) => boolean {
  if (typeof origins === "function") {
    const allows = synchronous(origins, "web.cors.origins");
    return (origin) => origin.length <= MAX_ORIGIN_LENGTH && allows(origin);
  }
  const list = listOf(origins).map((one) =>
    one instanceof RegExp ? anchored(one) : one,
  );
  return (origin) =>
    origin.length <= MAX_ORIGIN_LENGTH &&
    list.some((one) =>
      one instanceof RegExp
        ? origin !== OPAQUE && one.test(origin)
        : matchesOrigin(origin, one),
    );
}

function listOf(
  origins: Exclude<AllowedOrigins, (origin: string) => boolean>,
): readonly (string | RegExp)[] {
  if (typeof origins === "string")
    return origins.split(",").filter((one) => one.trim() !== "");
  return origins instanceof RegExp ? [origins] : origins;
}

/** Without this, `/site\.com/` would match `https://site.com.evil.org`. */
function anchored({ source, flags }: RegExp): RegExp {
  return new RegExp(`^(?:${source})$`, flags.replace(/[gy]/g, ""));
}

// --- `web.csrf`: protection against cross-site requests, to which browsers attach cookies.

/** RFC 9110 section 9.2.1: what they do must not matter. */
const SAFE_METHODS = ["GET", "HEAD", "OPTIONS", "TRACE"];

/** Values of `Sec-Fetch-Site` for requests of the server's own pages, and for those that the user started. */
const OWN = ["same-origin", "none"];

/** Whether the browser says that a page of another site sends the request. */
export function isOfAnotherSite({ headers }: IncomingMessage): boolean {
  const site = headers["sec-fetch-site"];
  return typeof site === "string" && !OWN.includes(site);
}

/** Whether a request is a forgery: a page of another site made the browser send it with cookies. */
export function isForgedRequest(req: IncomingMessage): boolean {
  const { headers, method = "GET" } = req;
  if (SAFE_METHODS.includes(method)) return false;
  // a request without cookies may get some: those of an account of the other site
  if (settings().web.csrf !== "all" && !isGuarded(req)) return false;
  const site = headers["sec-fetch-site"];
  if (typeof site === "string" && OWN.includes(site)) return false;
  const { origin } = headers;
  if (origin === undefined) return site !== undefined; // only browsers send either header
  if (site === undefined && isSameOrigin(req, origin)) return false;
  return !mayHaveCredentials(origin);
}

/** Whether a request has cookies to protect. */
export function isGuarded({ headers }: IncomingMessage): boolean {
  return settings().web.csrf !== false && headers.cookie !== undefined;
}

/** Whether `web.cors` lets pages of an origin send cookies along. */
export function mayHaveCredentials(origin: string): boolean {
  const cors = currentCors();
  return cors?.credentials === true && cors.allows(origin);
}
