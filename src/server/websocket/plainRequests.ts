/** Serves requests below the websocket path without an upgrade: a description, and the browser library. */
import { EventEmitter } from "node:events";
import * as fs from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import * as path from "node:path";
import { WebSocket } from "ws";
import { settings } from "../../config/settings";
import { packageRoot } from "../../environment/runtime";
import { loadModule } from "../../utils/modules";
import { addCorsHeaders } from "./origin";
import type { Spark } from "./spark";
import type { WebSocketServer } from "./webSocketServer";

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
export function answerPlainRequest(
  req: IncomingMessage,
  res: ServerResponse,
  library: () => string,
): boolean {
  const pathname = websocketPath();
  const url = req.url ?? "/";
  if (!isBelow(url, pathname)) return false;
  const [path = ""] = url.slice(pathname.length).split(/[?#]/);
  addCorsHeaders(req, res);
  if (settings().web.nosniff)
    res.setHeader("X-Content-Type-Options", "nosniff");
  if (req.method === "OPTIONS") {
    res.writeHead(204).end();
    return true;
  }
  if (path === "/spec") {
    send(req, res, {
      type: "application/json",
      body: JSON.stringify(specOf()),
    });
  } else if (path === "/primus.js") {
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
  const settings = JSON.stringify(settingsOf()).replace(/</g, "\\u003c");
  return `(function (root, module) {
${fs.readFileSync(LIBRARY, "utf8")}
root.Primus = definePrimus(root.WebSocket, ${settings});
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
