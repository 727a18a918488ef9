/** `actionhero/client` in node, Bun and Deno. */
import type { WebSocket } from "ws";
import { client, httpClient } from "./client";
import { ClientError, OwnFailure } from "./call";
import type { CookieStore } from "./http";
import { definePageClient } from "./websocket";
import { socketConnection } from "./socket";
import type {
  AnyActions,
  Client,
  CreateClientOptions,
  HttpClient,
  HttpOptions,
} from "./types";

export * from "./public";

/** The client of version 29; its types are in `src/assets/client/index.d.ts`. */
export const ActionheroWebsocketClient = /* @__PURE__ */ definePageClient(
  websocketClass({}),
);

/** A client over HTTP alone. It keeps the cookies of its server. */
export function createHttpClient<Actions = AnyActions>(
  options: HttpOptions,
): HttpClient<Actions> {
  return httpClient<Actions>(options, cookieStore());
}

/**
 * A client of the server at `url`: `http(s)://`, `ws(s)://`, `tcp://` or `tls://`. It keeps the cookies of its server, and
 * sends them and `headers` when it opens a websocket, too.
 */
export function createClient<Actions = AnyActions, Rooms = object>(
  options: CreateClientOptions,
): Client<Actions, Rooms> {
  return client<Actions, Rooms>(options, {
    cookies: cookieStore,
    websocketClass,
    socket: socketConnection,
  });
}

// --- Websockets of node, which support headers.

type Listener = ((event: never) => void) | null;

/** Node's websockets: `ws` is loaded by the first, so that a client over HTTP or TCP needs no package. */
function loadWebsockets() {
  try {
    return (require("ws") as typeof import("ws")).WebSocket;
  } catch (cause) {
    const text =
      "websockets need the package `ws` outside of browsers: npm install ws";
    throw new OwnFailure(new ClientError("UNSUPPORTED", text, { cause }));
  }
}

/** A websocket class that gets the current headers at each attempt. */
function websocketClass(
  {
    headers,
    WebSocket: own,
  }: Pick<CreateClientOptions, "headers" | "WebSocket">,
  cookies?: CookieStore,
): unknown {
  if (own) return own;

  return class {
    onopen: Listener = null;
    onmessage: Listener = null;
    onerror: Listener = null;
    onclose: Listener = null;
    #socket: WebSocket | undefined;
    #isClosed = false;

    constructor(address: string) {
      this.#open(address).catch((error: unknown) => {
        this.onerror?.({ error } as never);
        this.onclose?.({} as never);
      });
    }

    async #open(address: string): Promise<void> {
      const Websocket = loadWebsockets();
      const cookie = cookies?.header(address);
      const added = await this.#headers();
      if (this.#isClosed) return;
      const socket = new Websocket(address, {
        headers: { ...(cookie && { Cookie: cookie }), ...added },
      });
      this.#socket = socket;
      // the server finds the session of the client by it after a reconnect
      socket.on("upgrade", (response) =>
        cookies?.keep(response.headers["set-cookie"] ?? [], address),
      );
      socket.onopen = (event) => this.onopen?.(event as never);
      socket.onmessage = (event) => this.onmessage?.(event as never);
      socket.onerror = (event) => this.onerror?.(event as never);
      socket.onclose = (event) => this.onclose?.(event as never);
    }

    async #headers(): Promise<Record<string, string> | undefined> {
      if (typeof headers !== "function") return headers;
      try {
        return await headers();
      } catch (cause) {
        throw new OwnFailure(cause);
      }
    }

    send(text: string): void {
      this.#socket?.send(text);
    }

    close(): void {
      this.#isClosed = true;
      this.#socket?.close();
    }
  };
}

// --- The cookies of a client's servers, for environments whose fetch does not store cookies: RFC 6265 without a list of
// public suffixes.

/** The maximum number of cookies: RFC 6265 section 6.1 requires at least 50 per host. */
const MAX_COOKIES = 100;

interface Cookie {
  name: string;
  value: string;
  /** The host that set it, or its `Domain`. */
  domain: string;
  isHostOnly: boolean;
  path: string;
  isSecure: boolean;
  /** In ms since the epoch. */
  expiresAt: number;
}

/** The target of a request, as relevant to cookies. */
interface Target {
  host: string;
  path: string;
  isSecure: boolean;
}

function cookieStore(): CookieStore {
  const cookies = new Map<string, Cookie>();
  return {
    header: (url) => {
      const target = targetOf(url);
      return (
        [...cookies.values()]
          .filter((cookie) => isFor(cookie, target))
          .sort((one, other) => other.path.length - one.path.length)
          .map(({ name, value }) => `${name}=${value}`)
          .join("; ") || undefined
      );
    },
    keep: (lines, url) => {
      const target = targetOf(url);
      for (const line of lines) {
        const cookie = cookieOf(line, target);
        if (!cookie) continue;
        const { name, domain, path } = cookie;
        const key = JSON.stringify([name, domain, path]);
        cookies.delete(key); // so that the newest is the last
        for (const [other, { expiresAt }] of cookies)
          if (expiresAt <= Date.now()) cookies.delete(other);
        if (cookie.expiresAt > Date.now() && cookies.size < MAX_COOKIES)
          cookies.set(key, cookie);
      }
    },
  };
}

function targetOf(url: string): Target {
  const { protocol, hostname, pathname } = new URL(url);
  const isSecure = protocol === "https:" || protocol === "wss:";
  return { host: hostname, path: pathname, isSecure };
}

function isFor(cookie: Cookie, { host, path, isSecure }: Target): boolean {
  if (cookie.expiresAt <= Date.now()) return false;
  if (cookie.isSecure && !isSecure) return false;
  if (cookie.isHostOnly && host !== cookie.domain) return false;
  return isWithin(host, cookie.domain) && isBelow(path, cookie.path);
}

/** Sections 5.2 and 5.3; undefined for an invalid cookie, or one that this server may not set. */
function cookieOf(line: string, target: Target): Cookie | undefined {
  const [pair = "", ...parts] = line.split(";");
  const end = pair.indexOf("=");
  if (end < 1) return undefined;
  const attributes = attributesOf(parts);
  const own = (attributes.get("domain") ?? "").replace(/^\./, "").toLowerCase();
  const domain = own || target.host;
  const isSecure = attributes.has("secure");
  if (isSecure && !target.isSecure) return undefined;
  if (!isWithin(target.host, domain)) return undefined;
  const path = attributes.get("path") ?? "";
  return {
    name: pair.slice(0, end).trim(),
    value: pair.slice(end + 1).trim(),
    domain,
    isHostOnly: own === "",
    path: path.startsWith("/") ? path : folderOf(target.path),
    isSecure,
    expiresAt: expiryOf(attributes),
  };
}

/** By name in lower case; of repeated names, the last is used. */
function attributesOf(parts: string[]): Map<string, string> {
  return new Map(
    parts.map((part) => {
      const [name = "", ...value] = part.split("=");
      return [name.trim().toLowerCase(), value.join("=").trim()];
    }),
  );
}

/** `Max-Age` takes precedence over `Expires`. */
function expiryOf(attributes: Map<string, string>): number {
  const age = attributes.get("max-age") ?? "";
  if (/^-?\d+$/.test(age)) return Date.now() + Number(age) * 1000;
  const time = Date.parse(attributes.get("expires") ?? "");
  return Number.isNaN(time) ? Infinity : time;
}

/** An IP address has no parent domains, and top-level domains are not allowed. */
function isWithin(host: string, domain: string): boolean {
  if (host === domain) return true;
  const isAddress = /^[\d.]+$/.test(host) || host.startsWith("[");
  return !isAddress && domain.includes(".") && host.endsWith(`.${domain}`);
}

function isBelow(path: string, folder: string): boolean {
  if (path === folder) return true;
  return path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

/** The default path of a cookie without `Path`. */
function folderOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf("/")));
}
