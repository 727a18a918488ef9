/** Writes the header `Set-Cookie` (RFC 6265bis section 4.1), and refuses what browsers would drop silently. */
import type { CookieAttributes } from "../config/settingTypes";

/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
/** What may not be in a value as it is (RFC 6265bis section 4.1.1); "%" so that decoding gives the same text. */
const NOT_IN_VALUES = /[^!#$&'()*+\-./\d:<=>?@A-Z[\]^_`a-z{|}~]/gu;
const NOT_IN_ATTRIBUTES = /[^\x20-\x3a\x3c-\x7e]/;

/** Browsers drop longer ones (RFC 6265bis section 5.7). */
const MAX_PAIR_BYTES = 4096;
const MAX_ATTRIBUTE_BYTES = 1024;

const SAME_SITE = { strict: "Strict", lax: "Lax", none: "None" } as const;

/**
 * @param isTls whether the client came by TLS, for `secure: "auto"`
 * @throws TypeError for a cookie that browsers would not keep
 */
export function serializeCookie(
  name: string,
  value: string,
  attributes: CookieAttributes,
  isTls: boolean,
): string {
  const { path = "/", sameSite = "lax", httpOnly = true } = attributes;
  const { domain, maxAge, expires, partitioned, secure = "auto" } = attributes;
  const isSecure = secure === "auto" ? isTls : secure;
  const pair = pairOf(name, value);
  if (!Object.hasOwn(SAME_SITE, sameSite))
    throw new TypeError(`sameSite of a cookie cannot be ${String(sameSite)}`);
  checkPrefix(name, { path, domain, isSecure });
  if (!isSecure && (sameSite === "none" || partitioned === true))
    throw new TypeError(
      `the cookie ${name} must be secure: sameSite "none" and partitioned need TLS`,
    );

  const parts = [pair, `Path=${attribute("path", path)}`];
  if (domain !== undefined) parts.push(`Domain=${attribute("domain", domain)}`);
  if (maxAge !== undefined) parts.push(`Max-Age=${seconds(maxAge)}`);
  if (expires !== undefined) parts.push(`Expires=${dateOf(expires)}`);
  if (httpOnly) parts.push("HttpOnly");
  if (isSecure) parts.push("Secure");
  parts.push(`SameSite=${SAME_SITE[sameSite]}`);
  if (partitioned === true) parts.push("Partitioned");
  return parts.join("; ");
}

/** @throws TypeError for a name that is no token, and for more than 4,096 bytes */
function pairOf(name: string, value: string): string {
  if (!TOKEN.test(name))
    throw new TypeError(`a cookie cannot be named ${name}`);
  const pair = `${name}=${value.replace(NOT_IN_VALUES, encode)}`;
  if (pair.length > MAX_PAIR_BYTES)
    throw new TypeError(
      `the cookie ${name} has more than ${MAX_PAIR_BYTES} bytes`,
    );
  return pair;
}

function encode(character: string): string {
  // half of a surrogate pair, which cannot be encoded, becomes U+FFFD
  return encodeURIComponent(Buffer.from(character).toString());
}

interface Scope {
  path: string;
  domain: string | undefined;
  isSecure: boolean;
}

/** RFC 6265bis section 4.1.3; browsers compare without regard to case. */
function checkPrefix(name: string, { path, domain, isSecure }: Scope): void {
  const lower = name.toLowerCase();
  const isHost = lower.startsWith("__host-");
  if (!isHost && !lower.startsWith("__secure-")) return;
  if (!isSecure)
    throw new TypeError(`the cookie ${name} must be secure, and sent by TLS`);
  if (isHost && (path !== "/" || domain !== undefined))
    throw new TypeError(
      `the cookie ${name} must have the path "/" and no domain`,
    );
}

/** @param value null, say, from JavaScript */
function attribute(name: string, value: unknown): string {
  if (
    typeof value !== "string" ||
    NOT_IN_ATTRIBUTES.test(value) ||
    value.length > MAX_ATTRIBUTE_BYTES
  )
    throw new TypeError(`the ${name} of a cookie cannot be ${String(value)}`);
  return value;
}

function seconds(maxAge: number): number {
  if (!Number.isFinite(maxAge))
    throw new TypeError("maxAge of a cookie must be a number of seconds");
  return Math.trunc(maxAge);
}

function dateOf(expires: Date): string {
  if (Number.isNaN(expires.getTime()))
    throw new TypeError("expires of a cookie must be a date");
  return expires.toUTCString();
}
