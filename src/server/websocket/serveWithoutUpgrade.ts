/** Requests that offer to change the protocol, and are answered in HTTP/1 instead. */
import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { takeBack } from "../handOver";

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
  takeBack(socket as Socket);
  const isSecure = "encrypted" in socket;
  server.emit(isSecure ? "secureConnection" : "connection", socket);
}
