/** The library that speaks the wire format for clients, in browsers and in node; its source is src/assets/primus.js. */
import * as fs from "node:fs";
import * as path from "node:path";
import { WebSocket } from "ws";
import { packageRoot } from "../../environment/paths";
import { loadModule } from "../../utils/loadModule";
import { specOf } from "./plainRequests";
import type { PrimusClientClass } from "./primusSurface";

const FILE = path.join(packageRoot, "src", "assets", "primus.js");

/** A server that is silent for so many intervals of its pings is gone. */
const SILENT_INTERVALS = 1.5;

/** The source for browsers: it defines `Primus`. */
export function browserLibrary(): string {
  const settings = JSON.stringify(settingsOf()).replace(/</g, "\\u003c");
  return `(function (root, module) {
${fs.readFileSync(FILE, "utf8")}
root.Primus = definePrimus(root.WebSocket, ${settings});
})(typeof window === "object" ? window : globalThis);
`;
}

/** The same as a class for node. */
export function nodeClientClass(): PrimusClientClass {
  const define = loadModule(FILE).default as (
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
