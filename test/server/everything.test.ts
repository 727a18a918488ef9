/**
 * One new project with everything on that production may need, on two nodes behind a load balancer. One of them is
 * stopped under load: no request fails, no session loses a value, and nothing is done twice.
 */
import * as http from "node:http";
import { ask } from "../support/ask";
import { freePort } from "../support/freePort";
import {
  generatedProject,
  startProject,
  type StartedProject,
} from "../support/generatedProject";
import { ReadyProxy } from "../support/readyProxy";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { until } from "../support/until";

// the package has no types
const parseMetrics: (
  text: string,
) => Family[] = require("parse-prometheus-text-format");

interface Family {
  name: string;
  type: string;
  metrics: { buckets: Record<string, string> }[];
}

/** From the notice of a load balancer to the stop, in ms: many times as long as it takes to notice. */
const DRAIN_MS = 3000;
const SITE = "https://app.example.org";
const BROWSERS = 8;
const EVERYTHING = {
  general: {
    context: true,
    drainDelay: DRAIN_MS,
    rateLimit: { requests: 1_000_000, perMs: 60_000 },
    overload: {
      maxInFlight: 10_000,
      maxEventLoopDelay: 60_000,
      maxHeapUsed: 0.99,
    },
  },
  health: { enabled: true },
  logger: { format: "json" },
  securityHeaders: { enabled: true },
  session: { enabled: true },
  tracing: { enabled: true },
  web: {
    csrf: true,
    cors: { origins: [SITE], credentials: true, exposed: ["X-Request-Id"] },
    trustProxy: "loopback",
  },
};

const ACTIONS = `
import { Action, cache, context, defineAction } from "actionhero";

let paid = 0;
export const pay = defineAction({
  name: "pay",
  idempotent: true,
  timeout: 30_000,
  inputs: { amount: { required: true } },
  run: async () => ({ payment: process.pid + "-" + ++paid }),
});

export class Visits extends Action {
  constructor() {
    super();
    this.name = "visits";
    this.description = "counts the visits of a session";
    this.outputExample = {};
    this.timeout = 30_000;
  }
  async run({ store, connection }: any) {
    const visits = (store.get("visits") ?? 0) + 1;
    store.set("visits", visits);
    await cache.save("last-visit", visits);
    return { visits, id: context()!.id, ip: connection.remoteIP };
  }
}
`;

/** Requests one after the other, with the cookies of the last ones. */
class Browser {
  readonly failures: string[] = [];
  answered = 0;
  last?: http.IncomingHttpHeaders;
  private visits = 0;
  private readonly agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  private readonly cookies = new Map<string, string>();

  constructor(private readonly port: number) {}

  /** Visit and pay until `isOver`. */
  async use(isOver: () => boolean): Promise<void> {
    for (let count = 0; !isOver(); count++) {
      const { visits } = await this.ask("GET", "visits");
      if (visits !== ++this.visits)
        this.failures.push(`visit ${this.visits} was ${String(visits)}`);
      const first = await this.ask("POST", "pay", `${count}`);
      const again = await this.ask("POST", "pay", `${count}`);
      if (first.payment === undefined || first.payment !== again.payment)
        this.failures.push(`${String(first.payment)} was paid again`);
    }
    this.agent.destroy();
  }

  private async ask(method: string, action: string, key?: string) {
    const cookie = [...this.cookies].map((pair) => pair.join("=")).join("; ");
    const { status, text, headers } = await ask(this.port, `/api/${action}`, {
      method,
      agent: this.agent,
      headers: {
        Origin: SITE,
        ...(cookie && { Cookie: cookie }),
        ...(key && {
          "Idempotency-Key": key,
          "Content-Type": "application/json",
        }),
      },
      body: key && '{"amount":5}',
    });
    this.answered++;
    if (status !== 200) this.failures.push(`${status} ${text.slice(0, 300)}`);
    for (const set of headers["set-cookie"] ?? []) {
      const [name, value] = set.split(";")[0].split("=");
      this.cookies.set(name, value);
    }
    this.last = headers;
    return text.startsWith("{") ? JSON.parse(text) : {};
  }
}

describeOnRedis("a project with everything on", () => {
  const redis = new RedisServer();
  const project = generatedProject({}, { "src/actions/shop.ts": ACTIONS });
  const nodes: (StartedProject & { metrics: number })[] = [];
  let proxy: ReadyProxy;

  beforeAll(async () => {
    await redis.start();
    for (const title of ["one", "two"]) {
      const metrics = await freePort();
      const started = await startProject(project, {
        ACTIONHERO_TITLE: title,
        ACTIONHERO_CONFIG_OVERRIDES: JSON.stringify({
          ...EVERYTHING,
          metrics: { enabled: true, port: metrics },
        }),
        NODE_OPTIONS: `--require ${require.resolve("../support/otelSdk")}`,
        REDIS_URL: redis.url,
      });
      nodes.push({ ...started, metrics });
    }
    proxy = new ReadyProxy(nodes.map(({ port }) => port));
    await proxy.start();
    await until(() => nodes.every(({ port }) => proxy.isReady(port)), 60_000);
  }, 120_000);

  afterAll(async () => {
    await proxy?.stop();
    await Promise.all(nodes.map(({ service }) => service.stop("SIGKILL")));
    await redis.stop();
    project.remove();
  }, 60_000);

  test("one node stops under load, and no request fails", async () => {
    const [one, two] = nodes;
    const browsers = Array.from(
      { length: BROWSERS },
      () => new Browser(proxy.port),
    );
    let isOver = false;
    const load = Promise.all(browsers.map((one) => one.use(() => isOver)));
    const answered = (more: number) => {
      const count = () => browsers.reduce((sum, one) => sum + one.answered, 0);
      const enough = count() + more;
      return until(() => count() >= enough, 60_000, "answers");
    };
    try {
      await answered(200);
      const stopped = one.service.stop();
      await until(() => !proxy.isReady(one.port), 30_000, "the drain");
      expect((await ask(one.port, "/healthz")).status).toBe(200);
      expect(await stopped).toBe(0);
      await answered(100);
      expect(proxy.isReady(two.port)).toBe(true);
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

  test("the log lines of actions are JSON, with the id of their request", () => {
    const lines = nodes[1].service.lines.filter(
      (line) => line.includes('"visits"') && line.includes('"level":"info"'),
    );
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines.slice(0, 50))
      expect(JSON.parse(line)).toMatchObject({ requestId: expect.any(String) });
  });

  test("the metrics are read by a parser of the format, and OpenMetrics ends as it must", async () => {
    const [, { metrics }] = nodes;
    const families = parseMetrics((await ask(metrics, "/metrics")).text);
    const actions = families.find(
      ({ name }) => name === "actionhero_action_duration_seconds",
    )!;
    expect(actions.type).toBe("HISTOGRAM");
    expect(Number(actions.metrics[0].buckets["+Inf"])).toBeGreaterThan(100);
    const accept = "application/openmetrics-text; version=1.0.0";
    const open = await ask(metrics, "/metrics", { headers: { accept } });
    expect(open.headers["content-type"]).toMatch(/^application\/openmetrics/);
    expect(open.text).toMatch(/\n# EOF\n$/);
  });

  test("a request through the balancer has its client's address, its session and its headers", async () => {
    const visit = (cookie = "") =>
      ask(proxy.port, "/api/visits", { headers: { origin: SITE, cookie } });
    const first = await visit();
    expect(first.json).toMatchObject({ visits: 1, ip: "127.0.0.1" });
    expect(first.json.id).toBe(first.headers["x-request-id"]);
    expect(first.headers).toMatchObject({
      "access-control-allow-origin": SITE,
      "access-control-allow-credentials": "true",
      "strict-transport-security": expect.stringMatching(/^max-age=/),
      "x-content-type-options": "nosniff",
      "x-ratelimit-limit": "1000000",
      vary: "Origin",
    });
    const [session] = first.headers["set-cookie"]!;
    expect(session).toMatch(/^__Host-session=.*; HttpOnly; Secure;/);
    const second = await visit(session.split(";", 1)[0]);
    expect(second.json.visits).toBe(2);
  });
});
