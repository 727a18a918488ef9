/** A bare websocket client that speaks the wire format by hand, for tests of the server. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Server as HttpServer } from "node:http";
import { WebSocket, type ClientOptions } from "ws";
import { api } from "../../src/index";
import { until } from "./until";

export interface ClosedWith {
  code: number;
  reason: string;
}

export class WebsocketClient {
  /** Every JSON value received, in order; control messages are strings. */
  readonly received: any[] = [];
  readonly closed: Promise<ClosedWith>;
  private count = 0;
  private readonly waiting = new Map<unknown, (answer: any) => void>();

  constructor(readonly ws: WebSocket) {
    ws.on("message", (data: Buffer) => this.receive(data.toString()));
    ws.on("error", () => undefined);
    this.closed = new Promise((resolve) =>
      ws.once("close", (code: number, reason: Buffer) =>
        resolve({ code, reason: reason.toString() }),
      ),
    );
  }

  /** Everything received that answers nothing. */
  get messages(): any[] {
    return this.received.filter(
      ({ context }) => context && context !== "response",
    );
  }

  /** Send a request with an id of its own, and get its answer. */
  async request(fields: Record<string, unknown>): Promise<any> {
    const messageId = fields.messageId ?? `m${++this.count}`;
    const answer = new Promise<any>((resolve) =>
      this.waiting.set(messageId, resolve),
    );
    this.send({ ...fields, messageId });
    return answer;
  }

  action(name: string, params: Record<string, unknown> = {}): Promise<any> {
    const { messageId, ...rest } = params;
    const fields = { event: "action", params: { ...rest, action: name } };
    return this.request(
      messageId === undefined ? fields : { ...fields, messageId },
    );
  }

  send(value: unknown): void {
    this.ws.send(JSON.stringify(value));
  }

  sendRaw(text: string): void {
    this.ws.send(text);
  }

  /** The first thing received that the test likes, also if it came before. */
  next(what: string, likes: (message: any) => boolean): Promise<any> {
    return until(() => this.received.find(likes), undefined, what);
  }

  close(): void {
    this.ws.terminate();
  }

  private receive(text: string): void {
    const message = JSON.parse(text);
    this.received.push(message);
    const id: unknown = message?.messageId;
    const resolve = this.waiting.get(id);
    if (!resolve) return;
    this.waiting.delete(id);
    resolve(message);
  }
}

/** `ws://localhost:<port>/primus` of the server that runs in this process. */
export function websocketUrl(path = "/primus"): string {
  return `ws://localhost:${webPort()}${path}`;
}

export function webPort(): number {
  const server = api.servers.servers.web.server as HttpServer;
  return (server.address() as AddressInfo).port;
}

/** A client that is connected, and has its welcome unless `welcome` is false. */
export async function connectWebsocket(
  options: ClientOptions & { url?: string; welcome?: boolean } = {},
): Promise<WebsocketClient> {
  const { url, welcome, ...rest } = options;
  const ws = new WebSocket(url ?? websocketUrl(), rest);
  const client = new WebsocketClient(ws);
  await Promise.race([
    once(ws, "open"),
    client.closed.then(({ code }) => {
      throw new Error(`closed with ${code} before it was open`);
    }),
  ]);
  if (welcome !== false) await client.next("the welcome", (m) => m?.welcome);
  return client;
}
