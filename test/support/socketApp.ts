/** A server of the framework's own project whose socket server listens on a free port, and plain clients of it. */
import * as net from "node:net";
import * as tls from "node:tls";
import { once } from "node:events";
import { until } from "./until";

process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES ??= "";
process.env.ENABLE_TCP_SERVER = "true";

import { api, config, Process } from "../../src/index";
import type { SocketServer } from "../../src/server/socket/socketServer";

export const socketServer = () => api.servers.servers.socket as SocketServer;

export function socketPort(): number {
  return ((socketServer().server as net.Server).address() as net.AddressInfo)
    .port;
}

/** @param settings over those of config/socket.ts */
export async function startSocketApp(
  settings: Record<string, unknown> = {},
): Promise<Process> {
  Object.assign(config.socket, { port: 0, bindIP: "127.0.0.1" }, settings);
  const process = new Process();
  await process.start();
  return process;
}

const peers: SocketPeer[] = [];

/** A client that knows nothing but bytes and lines. */
export class SocketPeer {
  /** Everything that was received. */
  text = "";
  /** Settles when the server has closed its side. */
  readonly ended: Promise<unknown>;
  private read = 0;

  constructor(readonly socket: net.Socket) {
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => (this.text += chunk));
    socket.on("error", () => undefined);
    this.ended = new Promise((resolve) => {
      socket.once("end", resolve);
      socket.once("close", resolve);
    });
  }

  static async connect(
    port: number | string = socketPort(),
    options?: tls.ConnectionOptions,
  ): Promise<SocketPeer> {
    const where =
      typeof port === "string" ? { path: port } : { port, host: "127.0.0.1" };
    const socket = options
      ? tls.connect({ ...where, ...options })
      : net.connect(where);
    const peer = new SocketPeer(socket);
    peers.push(peer);
    await once(socket, options ? "secureConnect" : "connect");
    return peer;
  }

  /** The whole lines so far, as JSON. */
  get messages(): any[] {
    return this.text
      .split("\r\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  }

  send(line: string): void {
    this.socket.write(`${line}\n`);
  }

  /** The next line that was not asked for yet. */
  async next(): Promise<any> {
    const index = this.read++;
    await until(
      () => this.text.split("\r\n").length > index + 1,
      undefined,
      `line ${index} of: ${this.text.slice(-300)}`,
    );
    return this.messages[index];
  }

  /** Send a line, and get the next line that comes. */
  ask(line: string): Promise<any> {
    this.send(line);
    return this.next();
  }

  /** Leave without a word, and wait until the server knows. */
  async close(): Promise<void> {
    this.socket.destroy();
    if (!this.socket.closed) await once(this.socket, "close");
  }
}

/** Close every peer, and wait until the server knows of no client any more. */
export async function closeAll(): Promise<void> {
  await Promise.all(peers.splice(0).map((peer) => peer.close()));
  await allGone();
}

/** Until the server knows of no client any more. */
export function allGone(): Promise<true> {
  return until(() => socketServer().connections().length === 0);
}
