/** Answers requests whose socket node's HTTP server has handed over: there is no response object for them. */
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";

/** How long a refused client may take to read why, in ms. */
const REFUSAL_MS = 5_000;

/** Answer with an HTTP status and a text, and end the socket. */
export function refuseSocket(
  socket: Duplex,
  status: number,
  body: string,
  headers: Record<string, string> = {},
): void {
  const lines = Object.entries({
    "Content-Type": "text/plain",
    ...headers,
    Connection: "close",
    "Content-Length": String(Buffer.byteLength(body)),
  }).map(([name, value]) => `${name}: ${value.replace(/[\r\n]/g, " ")}\r\n`);
  // a status that has no name of its own has the space before it all the same (RFC 9112 section 4)
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`;
  socket.on("error", () => undefined);
  const timer = setTimeout(() => socket.destroy(), REFUSAL_MS).unref();
  socket.once("close", () => clearTimeout(timer));
  socket.once("finish", () => socket.destroy());
  socket.end(`${head}${lines.join("")}\r\n${body}`);
}
