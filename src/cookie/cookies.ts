/** The cookies of a client: those that its request carried, and those that are set in the response. */
import type { IncomingHttpHeaders } from "node:http";
import { settings } from "../config/settings";
import type { CookieAttributes } from "../config/settingTypes";
import { parseCookieHeader, type Cookies } from "./parse";
import { decrypt, encrypt, sign, unsign } from "./seal";
import { serializeCookie } from "./serialize";

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
    // the test server adds cookies to those that are parsed
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
