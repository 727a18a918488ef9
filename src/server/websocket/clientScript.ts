/** The parts that clients of Primus use: the library for browsers and node, the script for pages, and the server object that projects know. */
import { EventEmitter } from "node:events";
import * as fs from "node:fs";
import * as path from "node:path";
import { WebSocket } from "ws";
import { packageRoot } from "../../environment/runtime";
import { loadModule } from "../../utils/modules";
import type { Spark } from "./spark";
import type { WebSocketServer } from "./webSocketServer";
import { createHash } from "node:crypto";
import * as files from "node:fs/promises";
import { specOf } from "./plainRequests";

/** The client library for the wire format, in browsers and in node. */
const LIBRARY = path.join(packageRoot, "src", "assets", "primus.js");

/** A server that is silent for this many ping intervals is considered gone. */
const SILENT_INTERVALS = 1.5;

/** The source for browsers: it defines `Primus`. */
export function browserLibrary(): string {
  const json = JSON.stringify(settingsOf()).replace(/</g, "\\u003c");
  return `(function (root, module) {
${fs.readFileSync(LIBRARY, "utf8")}
root.Primus = definePrimus(root.WebSocket, ${json});
})(typeof window === "object" ? window : globalThis);
`;
}

/** The library as a class for node. */
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
