/**
 * The identity of a client: from a cookie, a header or a param of the URL, or a new one. HTTP and websockets share
 * it, so that a browser is the same client on both.
 */
import {
  createHash,
  createHmac,
  createSecretKey,
  timingSafeEqual,
  type KeyObject,
} from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { FingerprintOptions } from "../config/types";
import { settings } from "../config/settings";
import {
  isUnchanged,
  remembered,
  snapshotOf,
  type Snapshot,
} from "../utils/objects";
import { randomHex } from "../utils/ids";
import { schemeOf } from "./proxies";

export interface Identity {
  fingerprint: string;
  /** The `Set-Cookie` header for a client that brought no identity. */
  setCookie: string | undefined;
}

/** Sources of an id, besides the header. */
interface IdentitySources {
  /** The URL, if one of its params may be the id. */
  url?: string;
  /** Whether the cookie is used. */
  cookie: boolean;
}

type Accepts = (value: string) => boolean;

/** Longer ones are not ours: the value becomes part of ids and log lines. */
const MAX_LENGTH = 256;

/** 40 hex digits, as v29's were. */
const ID_LENGTH = 40;

/** Half of a SHA-256, which is beyond guessing. */
const SIGNATURE_LENGTH = 32;
/** Separates signatures of ids from other uses of the token. */
const PURPOSE = "fingerprint:";
const MAX_VERIFIED = 10_000;

const FROM_COOKIE: IdentitySources = { cookie: true };

/**
 * The identity of a client of the web server: the one that it brings, else a new one.
 * @param isAction whether an action is asked for
 */
export function identify(req: IncomingMessage, isAction = true): Identity {
  const { on, cookieKey } = settings().web.fingerprintOptions;
  const known = knownFingerprint(req, cookieKey, FROM_COOKIE);
  if (known !== undefined) return { fingerprint: known, setCookie: undefined };
  const fingerprint = newFingerprint(req);
  const isSent = isAction || on !== "actions";
  const setCookie = isSent ? sessionCookie(fingerprint, req) : undefined;
  return { fingerprint, setCookie };
}

/**
 * The identity of a client that upgrades to a websocket; a client without one gets one with the response, if files
 * do not set the cookie (`on`).
 * @param mayUseCookie false for pages of other sites
 */
export function identifyUpgrade(
  req: IncomingMessage,
  mayUseCookie: boolean,
): Partial<Identity> {
  const { web, websocket } = settings();
  const { cookieKey } = websocket;
  const sources = { url: req.url, cookie: mayUseCookie };
  const known = knownFingerprint(req, cookieKey, sources);
  if (known !== undefined) return { fingerprint: known };
  if (web.fingerprintOptions.on !== "actions" || !mayUseCookie) return {};
  const fingerprint = newFingerprint(req);
  const setCookie = sessionCookie(fingerprint, req, cookieKey);
  return setCookie === undefined ? {} : { fingerprint, setCookie };
}

/**
 * The client's id, if it has a valid form: from the param of the URL, the cookie, or the header. Of several values
 * of one name, the first valid one is used.
 */
function knownFingerprint(
  req: IncomingMessage,
  cookieKey: string,
  { url, cookie }: IdentitySources,
): string | undefined {
  const accepts = settings().web.fingerprintOptions.signed ? isOurs : isUsable;
  if (url !== undefined) {
    const found = paramValue(url, cookieKey, accepts);
    if (found !== undefined) return found;
  }
  const cookies = cookie ? req.headers.cookie : undefined;
  if (cookies !== undefined) {
    const name = cookieNameFor(req, cookieKey);
    const found =
      accepts === isUsable
        ? usableCookie(req.socket, cookies, name)
        : cookieValue(cookies, name, accepts);
    if (found !== undefined) return found;
  }
  const header = req.headers[headerNameOf(cookieKey)];
  return typeof header === "string" && accepts(header) ? header : undefined;
}

/**
 * A new id.
 * @param req of the client whose traits it is derived from with `onlyStaticElements`
 */
export function newFingerprint(req?: IncomingMessage): string {
  const { onlyStaticElements, signed } = settings().web.fingerprintOptions;
  const id = req && onlyStaticElements ? hashOfTraits(req) : randomHex();
  return signed ? id + signatureOf(id) : id;
}

/** The `Set-Cookie` header with the id; undefined without `toSetCookie`. */
export function sessionCookie(
  fingerprint: string,
  req: IncomingMessage,
  cookieKey = settings().web.fingerprintOptions.cookieKey,
): string | undefined {
  const { toSetCookie, settings: attributes } =
    settings().web.fingerprintOptions;
  if (!toSetCookie) return undefined;
  const name = cookieNameFor(req, cookieKey);
  return `${name}=${fingerprint}${attributesOf(attributes, req)}`;
}

const HOST_PREFIX = "__Host-";

/**
 * The name of the cookie. With `Secure: "auto"` it has the prefix `__Host-` over TLS: then another host of the domain, or
 * somebody between a client and its server without TLS, cannot set it. Browsers want the path `/` and no domain for that.
 */
function cookieNameFor(req: IncomingMessage, cookieKey: string): string {
  const { settings: attributes } = settings().web.fingerprintOptions;
  if (typeof attributes !== "object") return cookieKey;
  const { Secure, secure = Secure, path, Path = path } = attributes;
  const isForHost =
    secure === "auto" &&
    Path === "/" &&
    !attributes.domain &&
    !attributes.Domain;
  return isForHost && schemeOf(req) === "https"
    ? HOST_PREFIX + cookieKey
    : cookieKey;
}

/** The value of the first cookie of a name that is accepted, without parsing the others. */
function cookieValue(
  cookie: string,
  name: string,
  accepts: Accepts,
): string | undefined {
  for (let at = cookie.indexOf(name); at !== -1;) {
    const end = at + name.length;
    if (cookie.charCodeAt(end) === 61 /* = */ && startsPair(cookie, at)) {
      const semicolon = cookie.indexOf(";", end);
      const value = cookie
        .slice(end + 1, semicolon === -1 ? undefined : semicolon)
        .trim();
      if (accepts(value)) return value;
    }
    at = cookie.indexOf(name, end);
  }
  return undefined;
}

/** A cache per socket: the last `Cookie` header and the id found in it, because clients repeat the header. */
interface Seen {
  cookies: string;
  name: string;
  found: string | undefined;
}

const MAX_SEEN_LENGTH = 1024;
const seenBy = new WeakMap<object, Seen>();

function usableCookie(
  socket: object,
  cookies: string,
  name: string,
): string | undefined {
  const seen = seenBy.get(socket);
  if (seen?.cookies === cookies && seen.name === name) return seen.found;
  const found = cookieValue(cookies, name, isUsable);
  // cached as long as the socket lives, so long headers are not cached
  if (cookies.length <= MAX_SEEN_LENGTH)
    seenBy.set(socket, { cookies, name, found });
  return found;
}

function startsPair(cookie: string, at: number): boolean {
  let before = at - 1;
  while (before >= 0 && cookie.charCodeAt(before) === 32 /* space */) before--;
  return before < 0 || cookie.charCodeAt(before) === 59; /* ; */
}

function paramValue(
  url: string,
  name: string,
  accepts: Accepts,
): string | undefined {
  const mark = url.indexOf("?");
  if (mark === -1) return undefined;
  return new URLSearchParams(url.slice(mark)).getAll(name).find(accepts);
}

/** Cached, because V8 has to internalize a new string before it can look up a property. */
const headerNameOf = remembered(
  (cookieKey: string) => `x-${cookieKey.toLowerCase()}`,
);

function isUsable(value: string): boolean {
  return value.length <= MAX_LENGTH && /^[\x21-\x7e]+$/.test(value);
}

interface Signer {
  key: KeyObject;
  /** A cache of verified ids: clients send theirs with every request. */
  verified: Set<string>;
}

const signerOf = remembered((token: string): Signer => {
  const key = createSecretKey(Buffer.from(token));
  return { key, verified: new Set() };
});

function currentSigner(): Signer {
  return signerOf(String(settings().general.serverToken ?? ""));
}

/** Whether a node with this token created an id. */
function isOurs(value: string): boolean {
  if (value.length !== ID_LENGTH + SIGNATURE_LENGTH) return false;
  const { verified } = currentSigner();
  if (verified.has(value)) return true;
  const expected = signatureOf(value.slice(0, ID_LENGTH));
  const given = Buffer.from(value.slice(ID_LENGTH), "latin1");
  if (!timingSafeEqual(given, Buffer.from(expected))) return false;
  if (verified.size >= MAX_VERIFIED) verified.clear();
  verified.add(value);
  return true;
}

function signatureOf(id: string): string {
  return createHmac("sha256", currentSigner().key)
    .update(PURPOSE + id)
    .digest("hex")
    .slice(0, SIGNATURE_LENGTH);
}

function hashOfTraits(req: IncomingMessage): string {
  const { headers, socket } = req;
  const traits = [
    headers["user-agent"],
    headers.accept,
    headers["accept-language"],
    headers["accept-encoding"],
    socket.remoteAddress,
  ];
  return createHash("sha256")
    .update(traits.join("\n"))
    .digest("hex")
    .slice(0, ID_LENGTH);
}

/** The cookie attributes, cached for one second, which is the resolution of `Expires`. */
interface Attributes {
  settings: Snapshot;
  isSecure: boolean;
  until: number;
  text: string;
}

let built: Attributes | undefined;

function attributesOf(
  wanted: FingerprintOptions["settings"],
  req: IncomingMessage,
): string {
  if (!wanted) return "";
  if (typeof wanted === "string") return wanted;
  const now = Date.now();
  const isSecure = schemeOf(req) === "https";
  if (
    built === undefined ||
    built.isSecure !== isSecure ||
    now >= built.until ||
    !isUnchanged(built.settings, wanted)
  )
    built = buildAttributes(wanted, isSecure, now);
  return built.text;
}

function buildAttributes(
  wanted: object,
  isSecure: boolean,
  now: number,
): Attributes {
  const entries = Object.entries(wanted) as [string, unknown][];
  let text = ";";
  for (const [name, value] of entries) {
    if (value === false) continue;
    if (value === "auto" && name.toLowerCase() === "secure")
      text += isSecure ? `${name};` : "";
    else if (!value || value === true) text += `${name};`;
    else if (name === "expires")
      text += `expires=${new Date(now + Number(value)).toUTCString()};`;
    else text += `${name}=${value as string};`;
  }
  const until = now - (now % 1000) + 1000;
  return { settings: snapshotOf(wanted), isSecure, until, text };
}
