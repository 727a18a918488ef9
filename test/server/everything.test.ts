/** One new project with everything on that production may need, on two nodes behind a load balancer. */
import { ask } from "../support/ask";
import { freePort } from "../support/freePort";
import {
  generatedProject,
  startProject,
  type StartedProject,
} from "../support/generatedProject";
import { Load } from "../support/load";
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

const ACTION = `
import { Action, cache, context } from "actionhero";

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

describeOnRedis("a project with everything on", () => {
  const redis = new RedisServer();
  const project = generatedProject({}, { "src/actions/visits.ts": ACTION });
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
    const load = new Load(proxy.port, "/api/visits", 10);
    const answered = (more: number) => {
      const before = load.answered;
      return until(() => load.answered >= before + more, 60_000, "answers");
    };
    await answered(200);
    const stopped = one.service.stop();
    await until(() => !proxy.isReady(one.port), 30_000, "the drain");
    expect((await ask(one.port, "/healthz")).status).toBe(200);
    expect(await stopped).toBe(0);
    await answered(100);
    expect(proxy.isReady(two.port)).toBe(true);
    await load.stop();
    expect(load.failures).toEqual([]);
  }, 120_000);

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
