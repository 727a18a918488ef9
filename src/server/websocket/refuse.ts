/** Answers to upgrades that do not become websockets. */
import { STATUS_CODES, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";

/** How long a refused client may take to read why, in ms. */
const REFUSAL_MS = 5_000;

/** Answer an upgrade with an HTTP status and a text, and end its socket. */
export function refuse(
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
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`;
  socket.on("error", () => undefined);
  const timer = setTimeout(() => socket.destroy(), REFUSAL_MS).unref();
  socket.once("close", () => clearTimeout(timer));
  socket.once("finish", () => socket.destroy());
  socket.end(`${head}${lines.join("")}\r\n${body}`);
}

/**
 * Let the HTTP server treat a request as if it had not asked for an upgrade, as it does when nobody listens for any:
 * some clients offer HTTP/2 on every request (`Upgrade: h2c`), and are content with an answer in HTTP/1.
 *
 * Only for versions of Node that do not ask whether to upgrade. Its bytes are put back and the socket is handed to the
 * server again; emitting `connection` is node's way for that.
 */
export function serveWithoutUpgrade(
  server: Server,
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  const lines = [`${req.method} ${req.url} HTTP/${req.httpVersion}`];
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const name = req.rawHeaders[i]!;
    let value = req.rawHeaders[i + 1]!;
    if (/^(?:upgrade|http2-settings)$/i.test(name)) continue;
    if (/^connection$/i.test(name))
      value = value
        .split(",")
        .map((option) => option.trim())
        .filter((option) => !/^(?:upgrade|http2-settings)$/i.test(option))
        .join(", ");
    if (value !== "") lines.push(`${name}: ${value}`);
  }
  const bytes = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  socket.unshift(Buffer.concat([bytes, head]));
  const isSecure = "encrypted" in socket;
  server.emit(isSecure ? "secureConnection" : "connection", socket);
}
