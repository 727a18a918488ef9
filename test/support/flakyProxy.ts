/** A TCP proxy that fails on demand: it cuts, stalls and refuses connections. */
import * as net from "net";
import { freePort } from "./freePort";

interface Pair {
  client: net.Socket;
  server: net.Socket;
}

export class FlakyProxy {
  port = 0;
  /** How many connections were accepted so far. */
  accepted = 0;
  private readonly pairs = new Set<Pair>();
  private listener?: net.Server;
  private stalled = false;

  /**
   * @param targetPort where the real server listens, on 127.0.0.1; another one is for new connections
   * @param delayMs latency in each direction, in ms
   */
  constructor(
    public targetPort: number,
    private readonly delayMs = 0,
  ) {}

  get open(): number {
    return this.pairs.size;
  }

  async start(): Promise<this> {
    this.port = await freePort();
    await this.listen();
    return this;
  }

  /** Cut all open connections as a crash does; new ones are accepted. */
  cut(): void {
    for (const { client, server } of this.pairs) {
      client.resetAndDestroy();
      server.destroy();
    }
  }

  /** Cut all connections and accept no more. */
  async refuse(): Promise<void> {
    const listener = this.listener;
    this.listener = undefined;
    const closed = listener
      ? new Promise((resolve) => listener.close(resolve))
      : undefined;
    this.cut();
    await closed;
  }

  /** Accept connections again, on the same port. */
  async accept(): Promise<void> {
    if (!this.listener) await this.listen();
  }

  /** Pass on nothing more, in either direction, of open and new connections: a network that lost its other end. */
  stall(): void {
    this.stalled = true;
    for (const pair of this.pairs) setFlow(pair, false);
  }

  resume(): void {
    this.stalled = false;
    for (const pair of this.pairs) setFlow(pair, true);
  }

  async stop(): Promise<void> {
    await this.refuse();
  }

  private listen(): Promise<void> {
    const listener = net.createServer((client) => this.connect(client));
    this.listener = listener;
    return new Promise((resolve, reject) => {
      listener.once("error", reject);
      listener.listen(this.port, "127.0.0.1", resolve);
    });
  }

  private connect(client: net.Socket): void {
    this.accepted++;
    const server = net.connect(this.targetPort, "127.0.0.1");
    const pair = { client, server };
    this.pairs.add(pair);
    client.on("data", (bytes) => this.pass(bytes, server));
    server.on("data", (bytes) => this.pass(bytes, client));
    for (const [one, other] of [
      [client, server],
      [server, client],
    ]) {
      one.on("error", () => undefined); // "close" follows
      one.on("close", () => {
        other.destroy();
        this.pairs.delete(pair);
      });
    }
    if (this.stalled) setFlow(pair, false);
  }

  /** Timers of one length keep their order. */
  private pass(bytes: Buffer, to: net.Socket): void {
    if (this.delayMs === 0) to.write(bytes);
    else setTimeout(() => to.write(bytes), this.delayMs);
  }
}

function setFlow({ client, server }: Pair, flows: boolean): void {
  for (const socket of [client, server])
    if (flows) socket.resume();
    else socket.pause();
}
