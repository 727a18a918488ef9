/** Websocket bytes by hand, for what a proper client would never send. */
import { once } from "node:events";
import * as net from "node:net";
import { until } from "./until";
import { webPort } from "./websocketClient";

export { clientFrame } from "./frames";

export interface RawSocket {
  socket: net.Socket;
  /** Everything received so far. */
  bytes(): Buffer;
  text(): string;
  /** The status line's number, when it is there. */
  status(): Promise<number>;
  /** Resolves when the other side has closed. */
  closed: Promise<unknown>;
}

/** A plain TCP connection to the web server. */
export async function rawSocket(): Promise<RawSocket> {
  const socket = net.connect(webPort(), "localhost");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  socket.on("error", () => undefined);
  const closed = once(socket, "close");
  await once(socket, "connect");
  const bytes = () => Buffer.concat(chunks);
  return {
    socket,
    bytes,
    text: () => bytes().toString(),
    closed,
    status: async () =>
      Number(
        (await until(() => /^HTTP\/1\.1 (\d+)/.exec(bytes().toString())))[1],
      ),
  };
}

/** Ask for an upgrade, and send `more` with it. */
export async function rawUpgrade(
  path = "/primus",
  headers: Record<string, string> = {},
  more: Buffer = Buffer.alloc(0),
): Promise<RawSocket> {
  const raw = await rawSocket();
  const all: Record<string, string> = {
    Host: "localhost",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
  };
  const head = Object.entries(all).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  raw.socket.write(
    Buffer.concat([
      Buffer.from(`GET ${path} HTTP/1.1\r\n${head.join("")}\r\n`),
      more,
    ]),
  );
  return raw;
}
