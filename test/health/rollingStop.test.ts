/**
 * All that production needs at once: two nodes behind a proxy that goes by `/readyz`, one of which is stopped under load.
 * No request fails, no session loses a value, and nothing is done twice.
 */
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import * as path from "node:path";
import { ask } from "../support/ask";
import { freePort } from "../support/freePort";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { RemoteNode } from "../support/remoteNode";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";
import { until } from "../support/until";

const parseMetrics: (
  text: string,
) => { name: string }[] = require("parse-prometheus-text-format");

const POLL_MS = 50;
/** Far more than the proxy needs to notice, on a slow machine, too. */
const DRAIN_MS = 2_000;
const BROWSERS = 8;
const SITE = "https://shop.example";

const framework = JSON.stringify(path.join(repositoryRoot, "src", "index.ts"));
const ACTIONS = `
  const { defineAction } = require(${framework});
  exports.visit = defineAction({
    name: "visit",
    run: ({ store }) => {
      const visits = (store.get("visits") ?? 0) + 1;
      store.set("visits", visits);
      return { visits };
    },
  });
  let paid = 0;
  exports.pay = defineAction({
    name: "pay",
    idempotent: true,
    timeout: 30_000,
    inputs: { amount: { required: true } },
    run: () => ({ payment: process.pid + "-" + ++paid }),
  });
`;

/** A load balancer: asks each node whether it is ready, and gives the ready ones requests in turn. */
class Balancer {
  /** How many requests each port got. */
  readonly given = new Map<number, number>();
  private readonly agent = new http.Agent({ keepAlive: true });
  private ready: number[] = [];
  private turn = 0;
  private poll?: NodeJS.Timeout;
  private readonly server = http.createServer((req, res) =>
    this.pass(req, res),
  );

  constructor(private readonly ports: readonly number[]) {}

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) =>
      this.server.listen(0, "127.0.0.1", resolve),
    );
    const look = async () => {
      const found = await Promise.all(this.ports.map((port) => isReady(port)));
      this.ready = this.ports.filter((_, index) => found[index]);
      this.poll = setTimeout(() => void look(), POLL_MS);
    };
    await look();
    return this;
  }

  async stop(): Promise<void> {
    clearTimeout(this.poll);
    this.agent.destroy();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private pass(req: http.IncomingMessage, res: http.ServerResponse): void {
    const port = this.ready[this.turn++ % this.ready.length];
    if (port === undefined) return void res.writeHead(502).end();
    this.given.set(port, (this.given.get(port) ?? 0) + 1);
    const { method, url, headers } = req;
    const upstream = http.request(
      { port, method, path: url, headers, agent: this.agent },
      (response) => {
        res.writeHead(response.statusCode!, response.headers);
        response.pipe(res);
      },
    );
    upstream.on("error", (error) => res.writeHead(502).end(String(error)));
    req.pipe(upstream);
  }
}

async function isReady(port: number): Promise<boolean> {
  const found = await ask(port, "/readyz").catch(() => undefined);
  return found?.status === 200;
}

describeOnRedis("two nodes behind a proxy that goes by /readyz", () => {
  const server = new RedisServer();
  const project = new TemporaryProject({ "actions/shop.js": ACTIONS });
  let nodes: [RemoteNode, RemoteNode];
  let ports: [number, number];
  let metricsPort: number;
  let balancer: Balancer;

  async function start(port: number, metricsPort: number) {
    const node = await RemoteNode.start({
      redisUrl: server.url,
      overrides: {
        general: {
          context: true,
          drainDelay: DRAIN_MS,
          overload: { maxInFlight: 1_000, maxEventLoopDelay: 20_000 },
          rateLimit: { requests: 1_000_000, perMs: 60_000 },
          paths: { action: [project.path("actions")] },
        },
        health: { enabled: true },
        logger: { format: "json" },
        metrics: { enabled: true, port: metricsPort },
        securityHeaders: { enabled: true },
        session: { enabled: true },
        web: {
          enabled: true,
          port,
          bindIP: "127.0.0.1",
          automaticRoutes: ["get", "post"],
          cors: { origins: [SITE], credentials: true },
          csrf: true,
          fingerprintOptions: { signed: true },
          keepAliveTimeout: 65_000,
          trustProxy: "loopback",
        },
      },
    });
    await node.run(({ api }) =>
      api.process.registerProcessSignals((code: number) => process.exit(code)),
    );
    return node;
  }

  beforeAll(async () => {
    await server.start();
    ports = [await freePort(), await freePort()];
    metricsPort = await freePort();
    nodes = await Promise.all([
      start(ports[0], await freePort()),
      start(ports[1], metricsPort),
    ]);
    balancer = await new Balancer(ports).start();
  }, 60_000);

  afterAll(async () => {
    await balancer.stop();
    await Promise.all(nodes.map((node) => node.kill()));
    await server.stop();
    project.remove();
  });

  /** Requests one after the other, with the cookies of the last ones. */
  class Browser {
    readonly failures: string[] = [];
    visits = 0;
    last?: http.IncomingHttpHeaders;
    private readonly agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    private readonly cookies = new Map<string, string>();

    /** Visit and pay until `isOver`. */
    async use(isOver: () => boolean): Promise<void> {
      for (let count = 0; !isOver(); count++) {
        const { visits } = await this.ask("GET", "visit");
        if (visits !== ++this.visits)
          this.failures.push(`visit ${this.visits} was ${String(visits)}`);
        const key = `${count}`;
        const first = await this.ask("POST", "pay", key);
        const again = await this.ask("POST", "pay", key);
        if (first.payment === undefined || first.payment !== again.payment)
          this.failures.push(`${String(first.payment)} was paid again`);
      }
      this.agent.destroy();
    }

    private async ask(method: string, action: string, key?: string) {
      const body = method === "POST" ? '{"amount":5}' : undefined;
      const cookie = [...this.cookies].map((pair) => pair.join("=")).join("; ");
      const response = await new Promise<http.IncomingMessage>(
        (resolve, reject) => {
          const request = http.request(
            {
              port: balancer.port,
              method,
              path: `/api/${action}`,
              agent: this.agent,
              headers: {
                Origin: SITE,
                ...(cookie && { Cookie: cookie }),
                ...(key && { "Idempotency-Key": key }),
                ...(body && { "Content-Type": "application/json" }),
              },
            },
            resolve,
          );
          request.on("error", reject);
          request.end(body);
        },
      );
      let text = "";
      for await (const chunk of response.setEncoding("utf8")) text += chunk;
      if (response.statusCode !== 200)
        this.failures.push(`${response.statusCode} ${text.slice(0, 300)}`);
      for (const set of response.headers["set-cookie"] ?? []) {
        const [name, value] = set.split(";")[0].split("=");
        this.cookies.set(name, value);
      }
      this.last = response.headers;
      return text.startsWith("{") ? JSON.parse(text) : {};
    }
  }

  test("one of them is stopped under load, and no request fails", async () => {
    let isOver = false;
    const browsers = Array.from({ length: BROWSERS }, () => new Browser());
    const load = Promise.all(browsers.map((one) => one.use(() => isOver)));
    const given = (port: number) => balancer.given.get(port) ?? 0;
    try {
      await until(() => ports.every((port) => given(port) >= 100), 30_000);
      process.kill(nodes[0].pid, "SIGTERM");
      await until(() => isGone(nodes[0].pid), 30_000);
      const before = given(ports[1]);
      await until(() => given(ports[1]) >= before + 100, 30_000);
    } finally {
      isOver = true;
      await load;
    }
    expect(browsers.flatMap(({ failures }) => failures)).toEqual([]);
    for (const { last } of browsers)
      expect(last).toMatchObject({
        "x-request-id": expect.any(String),
        "content-security-policy": expect.any(String),
        "access-control-allow-origin": SITE,
      });
  }, 120_000);

  test("the node that stayed has counted what it was given, in logs that are JSON", async () => {
    const { text } = await ask(metricsPort, "/metrics");
    const name = "http_server_request_duration_seconds";
    expect(parseMetrics(text).map((family) => family.name)).toContain(name);
    const counts = text.matchAll(new RegExp(`^${name}_count.* (\\d+)$`, "gm"));
    const counted = [...counts].reduce((sum, [, n]) => sum + Number(n), 0);
    expect(counted).toBeGreaterThanOrEqual(balancer.given.get(ports[1])!);
    const lines = nodes[1].lines.filter(
      (line) => line.includes('"visit"') && line.includes('"level":"info"'),
    );
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines.slice(0, 50))
      expect(JSON.parse(line)).toMatchObject({ requestId: expect.any(String) });
  });
});

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}
