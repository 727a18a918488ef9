/** A load balancer: sends requests in turn to the nodes whose `/readyz` is 200. It tries nothing twice. */
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { ask } from "./ask";

/** How often it asks each node, in ms. */
const POLL_MS = 50;

export class ReadyProxy {
  port = 0;
  private readonly ready = new Set<number>();
  private readonly agent = new http.Agent({ keepAlive: true });
  private readonly server = http.createServer((req, res) =>
    this.forward(req, res),
  );
  private readonly polling: Promise<void>[] = [];
  private isOpen = true;
  private turn = 0;

  /** @param nodes their ports */
  constructor(private readonly nodes: readonly number[]) {}

  async start(): Promise<void> {
    for (const node of this.nodes) this.polling.push(this.poll(node));
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    ({ port: this.port } = this.server.address() as AddressInfo);
  }

  isReady(node: number): boolean {
    return this.ready.has(node);
  }

  async stop(): Promise<void> {
    this.isOpen = false;
    await Promise.all(this.polling);
    this.agent.destroy();
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }

  private async poll(node: number): Promise<void> {
    while (this.isOpen) {
      const status = await ask(node, "/readyz").then(
        (answer) => answer.status,
        () => 0,
      );
      if (status === 200) this.ready.add(node);
      else this.ready.delete(node);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  private forward(req: http.IncomingMessage, res: http.ServerResponse): void {
    const ready = [...this.ready];
    const port = ready[this.turn++ % ready.length];
    if (port === undefined) {
      res.writeHead(502).end("no node is ready");
      return;
    }
    const { method, url: path, socket } = req;
    const headers = {
      ...req.headers,
      "x-forwarded-for": socket.remoteAddress,
      "x-forwarded-proto": "https",
    };
    const { agent } = this;
    const onward = http.request(
      { host: "127.0.0.1", port, method, path, headers, agent },
      (answer) => {
        res.writeHead(answer.statusCode!, answer.rawHeaders);
        answer.pipe(res);
      },
    );
    onward.on("error", (error) => {
      if (res.headersSent) res.destroy();
      else res.writeHead(502).end(`node ${port}: ${error.message}`);
    });
    req.pipe(onward);
  }
}
