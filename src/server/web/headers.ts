/** The headers of responses: the default ones, and merging what actions add. */
import {
  type IncomingMessage,
  type ServerResponse,
  validateHeaderName,
  validateHeaderValue,
} from "node:http";
import {
  settings,
  type Settings,
  type WebSettings,
} from "../../config/settings";
import { isUnchanged, type Snapshot, snapshotOf } from "../../utils/objects";
import { type Cors, currentCors } from "../cors";
import { schemeOf } from "../proxies";

/** `[name, value]` in order: the last one of a name is sent. */
export type HeaderPairs = [string, unknown][];

/** A value of `Vary`. */
type Mergeable = string | string[] | null | undefined;

/** Alternating names and values, names in lower case: the form that node writes fastest. */
export type FlatHeaders = string[];

export const JSON_TYPE = "application/json; charset=utf-8";

/** Browsers must not guess another type than the one that is sent. */
export const NOSNIFF = ["X-Content-Type-Options", "nosniff"] as const;

/** The settings from which the default headers are built. */
type HeaderSettings = Pick<WebSettings, "httpHeaders" | "nosniff">;

/** Further inputs of the default headers; undefined if all are disabled. */
interface HeaderPolicy {
  cors: Cors | undefined;
  security: SecurityHeaders | undefined;
  /** Whether the client uses TLS; determined only for `security`. */
  isTls: boolean;
}

/** The policy for a request. */
export function policyFor(req: IncomingMessage): HeaderPolicy | undefined {
  const cors = currentCors();
  const security = currentSecurityHeaders();
  if (cors === undefined && security === undefined) return undefined;
  const isTls = security !== undefined && schemeOf(req) === "https";
  return { cors, security, isTls };
}

/** The default headers as pairs, for requests whose list is read or modified. */
export function defaultPairs(
  { httpHeaders, nosniff }: HeaderSettings,
  setCookie: string | undefined,
  policy?: HeaderPolicy,
): HeaderPairs {
  const pairs: HeaderPairs = [];
  if (setCookie !== undefined) pairs.push(["Set-Cookie", setCookie]);
  pairs.push(["Content-Type", JSON_TYPE]);
  if (nosniff === true) pairs.push([...NOSNIFF]);
  if (policy) pairs.push(...policyPairs(policy));
  for (const name of Object.keys(httpHeaders ?? {})) {
    const value = httpHeaders![name];
    if (value && !(policy && isReplaced(name, policy)))
      pairs.push([name, value]);
  }
  return pairs;
}

/** The default headers that do not describe the body: the session cookie and the security headers. */
export function safetyPairs(
  { nosniff }: HeaderSettings,
  setCookie: string | undefined,
  policy?: HeaderPolicy,
): HeaderPairs {
  const defaults = { httpHeaders: undefined, nosniff };
  return defaultPairs(defaults, setCookie, policy).filter(
    ([name]) => name !== "Content-Type",
  );
}

/** The headers of a policy that do not depend on the request. */
function policyPairs({ cors, security, isTls }: HeaderPolicy): HeaderPairs {
  const pairs: HeaderPairs = security ? securityPairs(security, isTls) : [];
  if (cors?.isForAll === true) pairs.push(...allowOrigin(cors, "*"));
  else if (cors) pairs.push(["Vary", "Origin"]);
  return pairs;
}

/** Whether a policy replaces a header of `web.httpHeaders`. */
function isReplaced(
  name: string,
  { cors, security, isTls }: HeaderPolicy,
): boolean {
  const lower = name.toLowerCase();
  if (cors && lower.startsWith("access-control-")) return true;
  return (
    !isTls &&
    Object.keys(security?.tlsHeaders ?? {}).some(
      (secure) => secure.toLowerCase() === lower,
    )
  );
}

/** Allow scripts of an origin to read the response. */
export function allowOrigin(
  { credentials, exposed }: Cors,
  origin: string,
): HeaderPairs {
  const pairs: HeaderPairs = [["Access-Control-Allow-Origin", origin]];
  if (credentials) pairs.push(["Access-Control-Allow-Credentials", "true"]);
  if (exposed) pairs.push(["Access-Control-Expose-Headers", exposed]);
  return pairs;
}

/** The security headers of responses that the server creates itself, which get no other default headers. */
export function setPolicyHeaders(
  req: IncomingMessage,
  res: ServerResponse,
  nosniff: boolean | undefined,
): void {
  if (nosniff === true) res.setHeader(...NOSNIFF);
  for (const [name, value] of securityPairsFor(req)) res.setHeader(name, value);
}

/**
 * The merge rule of response headers: the last value of each name, except that cookies accumulate, the last one
 * first, and the values of `Vary` are merged. A response with a cookie is private. `Trailer` is removed, because
 * only the server could send trailers.
 * @throws TypeError for names and values that are not valid in HTTP, e.g. with a line break
 */
export function mergeHeaders(pairs: HeaderPairs): FlatHeaders {
  const flat: FlatHeaders = [];
  const seen = new Set<string>(["trailer"]);
  const cookies = new Set<string>();
  let vary: string | undefined;
  for (let i = pairs.length - 1; i >= 0; i--) {
    const [name, value] = pairs[i]!;
    const lower = String(name).toLowerCase();
    if (lower === "set-cookie") {
      addCookies(flat, cookies, value);
      continue;
    }
    if (lower === "vary") {
      vary = mergeVary(value as Mergeable, vary);
      continue;
    }
    if (seen.has(lower)) continue;
    seen.add(lower);
    if (value === undefined || value === null) continue;
    for (const one of Array.isArray(value) ? (value as unknown[]) : [value])
      addValid(flat, lower, one);
  }
  if (vary !== undefined) addValid(flat, "vary", vary);
  if (cookies.size > 0) makePrivate(flat);
  return flat;
}

/** Whether a name and its value are valid. */
export function isValidPair([name, value]: HeaderPairs[number]): boolean {
  try {
    addValid([], String(name), value ?? "");
    return true;
  } catch {
    return false;
  }
}

function addValid(flat: FlatHeaders, name: string, value: unknown): void {
  const text = String(value);
  validateHeaderName(name);
  validateHeaderValue(name, text);
  flat.push(name, text);
}

/** @param known the identities of the cookies that were set later, which win over earlier ones of the same identity */
function addCookies(
  flat: FlatHeaders,
  known: Set<string>,
  value: unknown,
): void {
  if (value === undefined || value === null) return;
  const values: unknown[] = Array.isArray(value) ? value : [value];
  const kept: string[] = [];
  for (let i = values.length - 1; i >= 0; i--) {
    const cookie = String(values[i]);
    const identity = cookieIdentity(cookie);
    if (known.has(identity)) continue;
    known.add(identity);
    kept.unshift(cookie);
  }
  for (const cookie of kept) addValid(flat, "set-cookie", cookie);
}

/** Name, domain and path, which identify a cookie in browsers (RFC 6265 section 5.3). */
function cookieIdentity(cookie: string): string {
  const [pair = "", ...attributes] = cookie.split(";");
  let domain = "";
  let path = "";
  for (const attribute of attributes) {
    const [name = "", value = ""] = attribute.split("=");
    const key = name.trim().toLowerCase();
    if (key === "domain") domain = value.trim().toLowerCase();
    else if (key === "path") path = value.trim();
  }
  return `${pair.split("=", 1)[0]!.trim()};${domain};${path}`;
}

function mergeVary(
  earlier: Mergeable,
  later: string | undefined,
): string | undefined {
  if (earlier === undefined || earlier === null) return later;
  const names = `${String(earlier)},${later ?? ""}`.split(",");
  const merged = new Map<string, string>();
  for (const name of names) {
    const trimmed = name.trim();
    const key = trimmed.toLowerCase();
    if (trimmed !== "" && !merged.has(key)) merged.set(key, trimmed);
  }
  return merged.has("*") ? "*" : [...merged.values()].join(", ");
}

/** Caches that serve many clients must not give the cookie of one to another. */
function makePrivate(flat: FlatHeaders): void {
  const present = getFlat(flat, "cache-control");
  const directives = (present ?? "").split(",").map((one) => one.trim());
  if (directives.some((one) => /^(?:private|no-store)$/i.test(one))) return;
  const kept = directives.filter(
    (one) => one !== "" && !/^(?:public|s-maxage\b.*)$/i.test(one),
  );
  setFlat(flat, "cache-control", [...kept, "private"].join(", "));
}

/** The value that would be sent for a name (in lower case). */
export function valueOf(pairs: HeaderPairs, name: string): string | undefined {
  for (let i = pairs.length - 1; i >= 0; i--) {
    const [key, value] = pairs[i]!;
    if (String(key).toLowerCase() === name) return String(value);
  }
  return undefined;
}

/** Set a header in a flat list, replacing an existing one. */
export function setFlat(
  flat: FlatHeaders,
  name: string,
  value: string | undefined,
): void {
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] !== name) continue;
    if (value === undefined) flat.splice(i, 2);
    else flat[i + 1] = value;
    return;
  }
  if (value !== undefined) flat.push(name, value);
}

/** Set the length of the body: only one of the two headers may delimit it. */
export function setLength(flat: FlatHeaders, bytes: number): void {
  let isSet = false;
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!;
    if (name === "content-length") {
      flat[i + 1] = String(bytes);
      isSet = true;
    } else if (name === "transfer-encoding") {
      flat.splice(i, 2);
      i -= 2;
    }
  }
  if (!isSet) flat.push("content-length", String(bytes));
}

/** Name the request, unless the project has done so itself. */
export function addRequestId(flat: FlatHeaders, id: string | undefined): void {
  if (id !== undefined && getFlat(flat, "x-request-id") === undefined)
    flat.push("x-request-id", id);
}

/** The value of a name (in lower case) in a flat list. */
export function getFlat(
  flat: readonly string[],
  name: string,
): string | undefined {
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] === name) return flat[i + 1];
  }
  return undefined;
}

// --- The default headers, ready to be written: built once, and again when one of their settings changed.

interface Prepared {
  nosniff: boolean | undefined;
  cors: Cors | undefined;
  sources: readonly Snapshot[];
  /** With a place for the length of the body: adding it to a copy would make V8 copy the list once more. */
  alone: FlatHeaders;
  /** The first header is the cookie, without its value. */
  withCookie: FlatHeaders;
  /** Whether the last header is the id of the request, without its value. */
  hasId: boolean;
}

/** The additions of a request to the default headers. */
interface OwnHeaders {
  setCookie: string | undefined;
  requestId: string | undefined;
}

/** For clients without TLS and those with it, each without and with an id of the request. */
const prepared: (Prepared | undefined)[] = new Array<undefined>(4).fill(
  undefined,
);

/** The headers as a list that the caller may change, and in which it must set the length or remove it. */
export function preparedHeaders(
  current: HeaderSettings,
  { setCookie, requestId }: OwnHeaders,
  policy?: HeaderPolicy,
): FlatHeaders {
  const isKnown = requestId !== undefined;
  const { alone, withCookie, hasId } = prepare(current, policy, isKnown);
  const head = (setCookie === undefined ? alone : withCookie).slice();
  if (setCookie !== undefined) head[1] = setCookie;
  if (hasId) head[head.length - 1] = requestId!;
  return head;
}

function prepare(
  current: HeaderSettings,
  policy: HeaderPolicy | undefined,
  isKnown: boolean,
): Prepared {
  const slot = (policy?.isTls === true ? 1 : 0) + (isKnown ? 2 : 0);
  const known = prepared[slot];
  if (known && isCurrent(known, current, policy)) return known;
  const { httpHeaders, nosniff } = current;
  const { headers, tlsHeaders } = policy?.security ?? {};
  const flat = mergeHeaders(defaultPairs(current, undefined, policy));
  const withCookie = ["set-cookie", "", ...flat];
  makePrivate(withCookie);
  const hasId = isKnown && getFlat(flat, "x-request-id") === undefined;
  for (const list of [flat, withCookie]) {
    setLength(list, 0);
    if (hasId) list.push("x-request-id", "");
  }
  return (prepared[slot] = {
    nosniff,
    cors: policy?.cors,
    sources: [httpHeaders, headers, tlsHeaders].map(snapshotOf),
    alone: flat,
    withCookie,
    hasId,
  });
}

function isCurrent(
  { nosniff, cors, sources }: Prepared,
  current: HeaderSettings,
  policy: HeaderPolicy | undefined,
): boolean {
  const [own, security, tls] = sources;
  return (
    nosniff === current.nosniff &&
    cors === policy?.cors &&
    isUnchanged(own!, current.httpHeaders) &&
    isUnchanged(security!, policy?.security?.headers) &&
    isUnchanged(tls!, policy?.security?.tlsHeaders)
  );
}

// --- `config.securityHeaders`: security headers of responses.

type SecurityHeaders = Settings["securityHeaders"];

/** The settings while they are switched on. */
function currentSecurityHeaders(): SecurityHeaders | undefined {
  const { securityHeaders } = settings();
  return securityHeaders.enabled ? securityHeaders : undefined;
}

/** Names and values for a client. */
function securityPairs(
  { headers, tlsHeaders }: SecurityHeaders,
  isTls: boolean,
): [string, string][] {
  const all = isTls ? { ...headers, ...tlsHeaders } : (headers ?? {});
  return Object.entries(all).filter(
    (pair): pair is [string, string] => typeof pair[1] === "string",
  );
}

/** The security headers for the client of a request; empty while disabled. */
export function securityPairsFor(req: IncomingMessage): [string, string][] {
  const current = currentSecurityHeaders();
  return current ? securityPairs(current, schemeOf(req) === "https") : [];
}
