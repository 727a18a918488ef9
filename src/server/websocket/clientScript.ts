/** The script for pages: the library and the client, from src/assets, written below the public folder at boot. */
import { createHash } from "node:crypto";
import * as fs from "node:fs/promises";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../../environment/runtime";

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
${readFileSync(FILE, "utf8")}
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
  await fs.mkdir(path.dirname(file), { recursive: true });
  const unfinished = `${file}.${process.pid}.tmp`;
  await fs.writeFile(unfinished, header + script);
  await fs.rename(unfinished, file);
  return true;
}

async function beginsWith(file: string, header: string): Promise<boolean> {
  let handle: fs.FileHandle;
  try {
    handle = await fs.open(file);
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
