/** Websocket bytes by hand, for what a proper client would never send. */
import { once } from "node:events";
import * as net from "node:net";
import { until } from "./until";
import { webPort } from "./websocketClient";

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

/** A masked frame; the mask is zero, so that the payload can be read in it. */
export function clientFrame(
  payload: string | Buffer,
  { opcode = 1, final = true } = {},
): Buffer {
  const data = Buffer.from(payload as string);
  const head: number[] = [(final ? 0x80 : 0) | opcode];
  if (data.length < 126) head.push(0x80 | data.length);
  else if (data.length < 65_536)
    head.push(0x80 | 126, data.length >> 8, data.length & 255);
  else {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(data.length));
    head.push(0x80 | 127, ...length);
  }
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), data]);
}
