/** The cookies of a client: those that its request carried, and those that are set in the response. */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { env } from "../config/config";
import { isKnownServerToken } from "../config/knownSettings";
import type { CookieAttributes } from "../config/types";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";

/** How the value of a cookie is protected. */
export interface CookieProtection {
  /** The client can read it but not change it. */
  signed?: boolean;
  /** The client can neither read nor change it. */
  encrypted?: boolean;
}

/** Attributes that are not given are those of `web.cookieOptions.settings`. */
export interface CookieOptions extends CookieAttributes, CookieProtection {}

/** The `rawConnection` of HTTP (`req`) and of websockets (`headers` of the upgrade). */
interface Carrier {
  req?: { headers?: IncomingHttpHeaders };
  headers?: IncomingHttpHeaders;
}

const parsed = new WeakMap<object, Cookies>();

/** The cookies of a client, parsed at the first access; empty over TCP. */
export function cookiesOf(rawConnection: unknown): Cookies {
  if (typeof rawConnection !== "object" || rawConnection === null)
    return parseCookieHeader(undefined);
  let cookies = parsed.get(rawConnection);
  if (!cookies) {
    cookies = parseCookieHeader(headerOf(rawConnection));
    parsed.set(rawConnection, cookies);
  }
  return cookies;
}

function headerOf({ req, headers }: Carrier): string | undefined {
  return (req?.headers ?? headers)?.cookie;
}

/**
 * One cookie of a connection. The header is parsed only if it has the name somewhere: most requests are asked for a
 * cookie that they do not have.
 */
export function cookieNamed(
  client: { cookies?: Record<string, unknown>; rawConnection?: unknown },
  name: string,
): unknown {
  const { rawConnection } = client;
  // a project of version 29 may keep something of its own in `connection.cookies`
  const isOwn = Object.hasOwn(client, "cookies");
  if (!isOwn && typeof rawConnection === "object" && rawConnection !== null) {
    const header = headerOf(rawConnection);
    // the test server adds its own cookies
    if (!header?.includes(name) && !parsed.has(rawConnection)) return undefined;
  }
  return client.cookies?.[name];
}

/** The value of a cookie; undefined if it is missing, or not protected as requested. */
export function openCookie(
  cookies: Cookies,
  name: string,
  { signed, encrypted }: CookieProtection = {},
): string | undefined {
  const value = cookies[name];
  if (value === undefined) return undefined;
  if (encrypted === true) return decrypt(name, value);
  return signed === true ? unsign(name, value) : value;
}

/** The value as it goes to the client. */
export function sealCookie(
  name: string,
  value: string,
  { signed, encrypted }: CookieProtection = {},
): string {
  if (encrypted === true) return encrypt(name, value);
  return signed === true ? sign(name, value) : value;
}

/**
 * The `Set-Cookie` header of a cookie.
 * @param isTls whether the client came by TLS, for `secure: "auto"`
 * @throws TypeError for a cookie that browsers would not keep
 */
export function setCookieHeader(
  name: string,
  value: string,
  options: CookieOptions | undefined,
  isTls: boolean,
): string {
  const attributes = { ...defaultAttributes(), ...options };
  return serializeCookie(
    name,
    sealCookie(name, String(value), options),
    attributes,
    isTls,
  );
}

/** The options with which a cookie is removed: path and domain must be those that it was set with. */
export function clearing(options: CookieOptions | undefined): CookieOptions {
  const {
    signed: _signed,
    encrypted: _encrypted,
    ...attributes
  } = {
    ...options,
  };
  return { ...attributes, maxAge: 0, expires: new Date(0) };
}

function defaultAttributes(): CookieAttributes {
  return settings().web.cookieOptions.settings;
}

// --- Reads the header `Cookie` (RFC 6265bis section 5.8.3).

/** Names and decoded values. It has no prototype, so that a cookie named `__proto__` is harmless. */
export type Cookies = Record<string, string>;

/**
 * The cookies of a header. Of several cookies of one name the first counts: browsers send the one with the longest path
 * first. Values are percent-decoded where that is possible, and lose the quotes around them.
 */
export function parseCookieHeader(header: string | undefined): Cookies {
  const cookies = Object.create(null) as Cookies;
  if (!header) return cookies;
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    if (equals === -1) continue;
    const name = pair.slice(0, equals).trim();
    if (name !== "" && cookies[name] === undefined)
      cookies[name] = decode(pair.slice(equals + 1).trim());
  }
  return cookies;
}

function decode(text: string): string {
  const isQuoted =
    text.length > 1 && text.startsWith('"') && text.endsWith('"');
  const value = isQuoted ? text.slice(1, -1) : text;
  if (!value.includes("%")) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

// --- Writes the header `Set-Cookie` (RFC 6265bis section 4.1), and refuses what browsers would drop silently.

/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
/** Characters that a value may not contain as they are (RFC 6265bis section 4.1.1); "%" so that decoding gives the same text. */
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
  const parts = [pairOf(name, value)];
  checkSameSite(name, { sameSite, partitioned, isSecure });
  checkPrefix(name, { path, domain, isSecure });

  parts.push(`Path=${attribute("path", path)}`);
  if (domain !== undefined) parts.push(`Domain=${attribute("domain", domain)}`);
  if (maxAge !== undefined) parts.push(`Max-Age=${seconds(maxAge)}`);
  if (expires !== undefined) parts.push(`Expires=${dateOf(expires)}`);
  if (httpOnly) parts.push("HttpOnly");
  if (isSecure) parts.push("Secure");
  parts.push(`SameSite=${SAME_SITE[sameSite]}`);
  if (partitioned === true) parts.push("Partitioned");
  return parts.join("; ");
}

/** @throws TypeError for an unknown `sameSite`, and for a cookie that needs TLS and is not secure */
function checkSameSite(
  name: string,
  {
    sameSite,
    partitioned,
    isSecure,
  }: Pick<CookieAttributes, "sameSite" | "partitioned"> & { isSecure: boolean },
): void {
  if (sameSite === undefined || !Object.hasOwn(SAME_SITE, sameSite))
    throw new TypeError(`sameSite of a cookie cannot be ${String(sameSite)}`);
  if (!isSecure && (sameSite === "none" || partitioned === true))
    throw new TypeError(
      `the cookie ${name} must be secure: sameSite "none" and partitioned need TLS`,
    );
}

/** @throws TypeError for a name that is not a token, and for more than 4,096 bytes */
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

/** @param value may be null in a JavaScript project */
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

// --- Signed and encrypted values of cookies: both are bound to the name of the cookie, and to a secret of the server.

interface Keys {
  signing: Buffer;
  encryption: Buffer;
}

const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = "aes-256-gcm";

/** Environments in which a token that everybody knows is enough. */
const PRIVATE_ENVIRONMENTS = ["development", "test"];

/** `value.signature`. */
export function sign(name: string, value: string): string {
  return `${value}.${signatureOf(currentKeys()[0]!, name, value)}`;
}

/** The value of a signed cookie; undefined when no secret of ours signed it under this name. */
export function unsign(name: string, signed: string): string | undefined {
  const dot = signed.lastIndexOf(".");
  if (dot === -1) return undefined;
  const value = signed.slice(0, dot);
  const given = Buffer.from(signed.slice(dot + 1));
  const isOurs = currentKeys().some((keys) => {
    const expected = Buffer.from(signatureOf(keys, name, value));
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
  return isOurs ? value : undefined;
}

/** Random iv, ciphertext and tag, in base64url. */
export function encrypt(name: string, value: string): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(CIPHER, currentKeys()[0]!.encryption, iv);
  cipher.setAAD(Buffer.from(name));
  const parts = [iv, cipher.update(value, "utf8"), cipher.final()];
  return Buffer.concat([...parts, cipher.getAuthTag()]).toString("base64url");
}

/** The value of an encrypted cookie; undefined when no secret of ours encrypted it under this name. */
export function decrypt(name: string, encrypted: string): string | undefined {
  const bytes = Buffer.from(encrypted, "base64url");
  if (bytes.length < IV_BYTES + TAG_BYTES) return undefined;
  for (const keys of currentKeys()) {
    const value = decryptWith(keys, name, bytes);
    if (value !== undefined) return value;
  }
  return undefined;
}

function decryptWith(
  { encryption }: Keys,
  name: string,
  bytes: Buffer,
): string | undefined {
  const iv = bytes.subarray(0, IV_BYTES);
  const end = bytes.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, encryption, iv, {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(Buffer.from(name));
  decipher.setAuthTag(bytes.subarray(end));
  const text = decipher.update(bytes.subarray(IV_BYTES, end));
  try {
    return Buffer.concat([text, decipher.final()]).toString();
  } catch {
    return undefined; // not ours, or changed
  }
}

function signatureOf({ signing }: Keys, name: string, value: string): string {
  return createHmac("sha256", signing)
    .update(`${name}=${value}`)
    .digest("base64url");
}

let derived: { secrets: string; keys: Keys[] } | undefined;

/**
 * The keys of `web.cookieOptions.secrets`, else that of `general.serverToken`. The first seals, and all open.
 * @throws ActionheroError AH_CONFIG where only a token is set that everybody knows
 */
function currentKeys(): Keys[] {
  const secrets = secretsOf();
  const joined = secrets.join("\n");
  if (derived?.secrets !== joined)
    derived = { secrets: joined, keys: secrets.map(keysOf) };
  return derived.keys;
}

function secretsOf(): readonly string[] {
  // an entry without a value is the variable of an environment that is not set
  const secrets = settings().web.cookieOptions.secrets.filter(
    (secret) => !isKnownServerToken(secret),
  );
  if (secrets.length > 0) return secrets;
  const { serverToken } = settings().general;
  if (isKnownServerToken(serverToken) && !PRIVATE_ENVIRONMENTS.includes(env))
    throw new ActionheroError(
      "AH_CONFIG",
      "signed and encrypted cookies need web.cookieOptions.secrets, or a secret general.serverToken",
    );
  return [String(serverToken)];
}

function keysOf(secret: string): Keys {
  const derive = (purpose: string) =>
    Buffer.from(hkdfSync("sha256", secret, "", purpose, KEY_BYTES));
  return {
    signing: derive("actionhero cookie signature"),
    encryption: derive("actionhero cookie encryption"),
  };
}

// --- `utils.parseCookies` of version 29.

/**
 * The cookies of a request as received (no url-decoding).
 * @param req anything with node's `headers`; without a cookie header the result is empty
 * @returns an object without a prototype, so that a cookie named `__proto__` is harmless
 */
export function parseCookies(req: {
  headers?: { cookie?: string | string[] };
}): Record<string, string> {
  const cookies = Object.create(null) as Record<string, string>;
  const header = req.headers?.cookie;
  if (!header) return cookies;

  const text = Array.isArray(header) ? header.join("; ") : header;
  for (const pair of text.split(";")) {
    const equals = pair.indexOf("=");
    const name = (equals === -1 ? pair : pair.slice(0, equals)).trim();
    if (name !== "")
      cookies[name] = equals === -1 ? "" : pair.slice(equals + 1).trim();
  }
  return cookies;
}
