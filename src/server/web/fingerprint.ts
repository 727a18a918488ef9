/** Tells clients apart: by the cookie they send, else by a fresh one. */
import { createHash, randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { FingerprintOptions } from "./webConfig";

export interface Identity {
  fingerprint: string;
  /** The `Set-Cookie` header for a client that brought no identity. */
  setCookie: string | undefined;
}

const DEFAULT_COOKIE_KEY = "sessionID";

/** Longer ones are not ours: the value becomes part of ids and log lines. */
const MAX_LENGTH = 256;

/** 20 bytes are 40 hex digits, as v29's were. */
const BYTES = 20;
const POOL_SIZE = BYTES * 256;

export function identify(
  req: IncomingMessage,
  options: FingerprintOptions | undefined,
): Identity {
  const cookieKey = options?.cookieKey || DEFAULT_COOKIE_KEY;
  const known = knownFingerprint(req, cookieKey);
  if (known !== undefined) return { fingerprint: known, setCookie: undefined };

  const fingerprint =
    options?.onlyStaticElements === true ? hashOfTraits(req) : randomHex();
  const setCookie =
    options?.toSetCookie === false
      ? undefined
      : `${cookieKey}=${fingerprint}${attributesOf(options?.settings)}`;
  return { fingerprint, setCookie };
}

/** What the client sent, if it is something that we could have given it. */
function knownFingerprint(
  req: IncomingMessage,
  cookieKey: string,
): string | undefined {
  const { cookie } = req.headers;
  if (cookie !== undefined) {
    const value = cookieValue(cookie, cookieKey);
    if (value !== undefined && isUsable(value)) return value;
  }
  const header = req.headers[headerNameOf(cookieKey)];
  if (typeof header === "string" && isUsable(header)) return header;
  return undefined;
}

let headerName = { cookieKey: "", name: "" };

/** Put together once: a text has to become a name before a property can be looked up by it. */
function headerNameOf(cookieKey: string): string {
  if (headerName.cookieKey !== cookieKey)
    headerName = { cookieKey, name: `x-${cookieKey.toLowerCase()}` };
  return headerName.name;
}

/** The value of one cookie, whose name is not empty, without parsing the others. */
export function cookieValue(cookie: string, name: string): string | undefined {
  for (let at = cookie.indexOf(name); at !== -1;) {
    const end = at + name.length;
    if (cookie.charCodeAt(end) === 61 /* = */ && startsPair(cookie, at)) {
      const semicolon = cookie.indexOf(";", end);
      return cookie
        .slice(end + 1, semicolon === -1 ? undefined : semicolon)
        .trim();
    }
    at = cookie.indexOf(name, end);
  }
  return undefined;
}

function startsPair(cookie: string, at: number): boolean {
  let before = at - 1;
  while (before >= 0 && cookie.charCodeAt(before) === 32 /* space */) before--;
  return before < 0 || cookie.charCodeAt(before) === 59; /* ; */
}

function isUsable(value: string): boolean {
  return value.length <= MAX_LENGTH && /^[\x21-\x7e]+$/.test(value);
}

let pool = Buffer.alloc(0);
let used = 0;

/** Random bytes are taken from the system by the page, which costs a fraction of asking for each id. */
function randomHex(): string {
  if (used >= pool.length) {
    pool = randomBytes(POOL_SIZE);
    used = 0;
  }
  return pool.toString("hex", used, (used += BYTES));
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
    .slice(0, BYTES * 2);
}

/** The attributes with the expiry of one second: dates are told to the second, so they are built once in it. */
interface Attributes {
  settings: object;
  /** Names and values in turn, to notice a change in place. */
  values: unknown[];
  until: number;
  text: string;
}

let built: Attributes | undefined;

function attributesOf(settings: FingerprintOptions["settings"]): string {
  if (!settings) return "";
  if (typeof settings === "string") return settings;
  const now = Date.now();
  if (
    built === undefined ||
    built.settings !== settings ||
    now >= built.until ||
    hasChanged(built)
  )
    built = buildAttributes(settings, now);
  return built.text;
}

function buildAttributes(settings: object, now: number): Attributes {
  const entries = Object.entries(settings) as [string, string | number][];
  let text = ";";
  for (const [name, value] of entries) {
    if (!value) text += `${name};`;
    else if (name === "expires")
      text += `expires=${new Date(now + Number(value)).toUTCString()};`;
    else text += `${name}=${value};`;
  }
  const until = now - (now % 1000) + 1000;
  return { settings, values: entries.flat(), until, text };
}

function hasChanged({ settings, values }: Attributes): boolean {
  let i = 0;
  for (const name in settings) {
    if (values[i++] !== name) return true;
    if (values[i++] !== (settings as Record<string, unknown>)[name])
      return true;
  }
  return i !== values.length;
}
