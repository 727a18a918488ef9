/**
 * What pages of web sites get: responses to requests below the websocket path without an upgrade, the browser library, the
 * script with the client, and the check which sites may use the server.
 */
import { EventEmitter } from "node:events";
import * as fs from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import * as path from "node:path";
import { WebSocket } from "ws";
import { settings } from "../../config/settings";
import { packageRoot } from "../../environment/runtime";
import { loadModule } from "../../utils/modules";
import type { Spark } from "./spark";
import type { WebSocketServer } from "./webSocketServer";
import { createHash } from "node:crypto";
import * as files from "node:fs/promises";
import {
  currentCors,
  isOfAnotherSite,
  matchesOrigin,
  MAX_ORIGIN_LENGTH,
  mayHaveCredentials,
} from "../cors";
import { isSameOrigin } from "../proxies";
import type { PrimusOptions } from "../../config/types";

/** The client library for the wire format, in browsers and in node. */
const LIBRARY = path.join(packageRoot, "src", "assets", "primus.js");

/** A server that is silent for this many ping intervals is considered gone. */
const SILENT_INTERVALS = 1.5;

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

function specOf() {
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

/** The source for browsers: it defines `Primus`. */
export function browserLibrary(): string {
  const json = JSON.stringify(settingsOf()).replace(/</g, "\\u003c");
  return `(function (root, module) {
${fs.readFileSync(LIBRARY, "utf8")}
root.Primus = definePrimus(root.WebSocket, ${json});
})(typeof window === "object" ? window : globalThis);
`;
}

/** The same as a class for node. */
export function nodeClientClass(): PrimusClientClass {
  const define = loadModule(LIBRARY).default as (
    socket: typeof WebSocket,
    settings: object,
  ) => PrimusClientClass;
  return define(WebSocket, settingsOf());
}

function settingsOf() {
  const { pathname, pingInterval } = specOf();
  const pingTimeout = Math.round(Number(pingInterval) * SILENT_INTERVALS);
  return { pathname, pingTimeout };
}

// --- The type of `api.servers.servers.websocket.server`: the parts of a Primus server that projects use.

/** A client of the browser library or of `Socket`. */
interface PrimusClient extends EventEmitter {
  open(): this;
  end(): this;
  write(data: unknown): boolean;
  id(callback: (id: string) => void): void;
}

export type PrimusClientClass = new (
  url: string,
  options?: object,
) => PrimusClient;

/** Emits `connection` and `disconnection`, each with the spark. */
export class PrimusSurface extends EventEmitter {
  constructor(private readonly host: WebSocketServer) {
    super();
  }

  /** A client for node: `new Socket(url)`. */
  get Socket(): PrimusClientClass {
    return this.host.clientClass();
  }

  /** The number of clients. */
  get connected(): number {
    return this.host.sparks.size;
  }

  /** The source of the browser library, which defines `Primus`. */
  library(): string {
    return this.host.library();
  }

  /** The client with this id (`spark.id`). */
  spark(id: string): Spark | undefined {
    for (const spark of this.host.sparks) if (spark.id === id) return spark;
    return undefined;
  }

  /** Call a function for every client, until it returns false. */
  forEach(
    callback: (spark: Spark, id: string, count: number) => unknown,
  ): this {
    const sparks = [...this.host.sparks];
    for (const spark of sparks) {
      if (callback(spark, spark.id, sparks.length) === false) break;
    }
    return this;
  }

  /** Send a value to every client. */
  write(data: unknown): boolean {
    for (const spark of this.host.sparks) spark.write(data);
    return true;
  }

  /** End every client, permanently unless `reconnect` is true. The HTTP server is not affected. */
  destroy(options: { reconnect?: boolean } = {}, callback?: () => void): this {
    for (const spark of this.host.sparks) spark.end(undefined, options);
    if (callback) setImmediate(callback);
    return this;
  }
}

// --- The script for pages: the library and the client, from src/assets, written below the public folder at boot.

const FILE = path.join(packageRoot, "src", "assets", "websocketClient.js");

/** This value of `websocket.clientUrl` is a JavaScript expression, for pages that the server itself serves. */
const PAGE_ORIGIN = "window.location.origin";

export interface ClientScriptOptions {
  /** `websocket.clientUrl`. */
  clientUrl: string;
  /** `websocket.client`: the default options of clients. */
  client: Record<string, unknown>;
}

/**
 * The client's source, which evaluates to its class. The class extends `Primus.EventEmitter` or, without `Primus`,
 * node's.
 */
export function compileClient(options: ClientScriptOptions): string {
  const { clientUrl, client } = options;
  const url = clientUrl === PAGE_ORIGIN ? PAGE_ORIGIN : literal(clientUrl);
  return `(function (module) {
${fs.readFileSync(FILE, "utf8")}
return defineWebsocketClient({
  EventEmitter: typeof Primus === "undefined" ? require("events").EventEmitter : Primus.EventEmitter,
  connect: function (url, options) { return Primus.connect(url, options); },
  defaults: Object.assign(${literal(client)}, { url: ${url} }),
});
})();`;
}

/** The whole script: it adds `ActionheroWebsocketClient` to the window (or the exports of a module). */
export function renderClient(
  library: string,
  options: ClientScriptOptions,
): string {
  return `${library}


(function (exports) {
exports.ActionheroWebsocketClient = ${compileClient(options)}
})(typeof exports === "undefined" ? window : exports);
`;
}

/**
 * Write the script, unless the file is up to date. Another process may read or write it at the same time.
 * @returns whether it was written
 */
export async function writeClient(
  file: string,
  script: string,
): Promise<boolean> {
  const hash = createHash("sha256").update(script).digest("hex");
  const header = `/* The websocket client of this server, written when it starts. Source: ${hash} */\n`;
  if (await beginsWith(file, header)) return false;
  await files.mkdir(path.dirname(file), { recursive: true });
  const unfinished = `${file}.${process.pid}.tmp`;
  await files.writeFile(unfinished, header + script);
  await files.rename(unfinished, file);
  return true;
}

async function beginsWith(file: string, header: string): Promise<boolean> {
  let handle: files.FileHandle;
  try {
    handle = await files.open(file);
  } catch {
    return false; // it is missing, or writing it will report the problem
  }
  try {
    const start = Buffer.alloc(Buffer.byteLength(header));
    await handle.read(start, 0, start.length, 0);
    return start.toString() === header;
  } finally {
    await handle.close();
  }
}

/** A value as a JavaScript literal, also for older engines and inside a page. */
function literal(value: unknown): string {
  return JSON.stringify(value)
    .replace(/</g, "\\u003c")
    .replace(/\u2028/g, "\\u2028")
    .replace(/\u2029/g, "\\u2029");
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
