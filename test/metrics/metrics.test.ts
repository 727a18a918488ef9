/** `/metrics`: what is measured on each transport, how it is read, who may read it, and what it costs while it is off. */
import { Command } from "ioredis";
import { measureCommands } from "../../src/metrics/framework";
import * as fs from "node:fs";
import * as path from "node:path";
import * as net from "node:net";
import {
  closeAll,
  SocketPeer,
  socketPort,
  startSocketApp,
} from "../support/socketApp";
import { addTask, removeTask } from "../support/taskApp";
import { describeOnEachEngine } from "../support/engines";
import { freePort } from "../support/freePort";
import { LogLines } from "../support/logLines";
import { repositoryRoot } from "../support/temporaryProject";
import { until } from "../support/until";
import { addActions, ask } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import {
  api,
  cache,
  chatRoom,
  config,
  HttpError,
  Process,
  task,
} from "../../src/index";
import { Registry } from "../../src/metrics/registry";
import { startPlainServer, stopPlainServer } from "../../src/utils/plainServer";

interface Family {
  name: string;
  type: string;
}

// the package has no types
const parse: (
  text: string,
) => Family[] = require("parse-prometheus-text-format");

const OPEN_METRICS =
  "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";

let app: Process;
let port: number;

const scrape = (headers = {}) => ask(port, "/metrics", { headers });

/** The value of the one sample of a metric with these labels; of a histogram, how many there were. */
async function valueOf(
  name: string,
  labels: Record<string, string> = {},
): Promise<number | undefined> {
  const { text } = await scrape();
  const sample = new RegExp(`^${name}(?:_count)?(?:{(.*)})? (\\S+)$`);
  const found = text
    .split("\n")
    .map((line) => sample.exec(line))
    .filter((match) =>
      Object.entries(labels).every(([key, value]) =>
        match?.[1]?.split(",").includes(`${key}="${value}"`),
      ),
    )
    .flatMap((match) => (match ? [Number(match[2])] : []));
  expect(found.length).toBeLessThan(2);
  return found[0];
}

const countOf = async (name: string, labels: Record<string, string>) =>
  (await valueOf(name, labels)) ?? 0;

/** Wait until a metric has gone up by one. */
async function counts(
  name: string,
  labels: Record<string, string>,
  work: () => unknown,
): Promise<void> {
  const before = await countOf(name, labels);
  await work();
  await until(
    async () => (await countOf(name, labels)) === before + 1,
    20_000,
    `${name} ${JSON.stringify(labels)}`,
  );
}

/** The names of metrics in a file. */
function names(file: string): string[] {
  const text = fs.readFileSync(path.join(repositoryRoot, file), "utf8");
  const found = text.match(
    /\b(?:actionhero|http_server|db_client|nodejs|process)_[a-z0-9_]+/g,
  )!;
  return [...new Set(found)].filter(
    (name) => name !== "db_client_connection_pool_name",
  );
}

const ACTIONS = "actionhero_action_duration_seconds";
const REQUESTS = "http_server_request_duration_seconds";
const TASKS = "actionhero_task_duration_seconds";

const settings = () => config.metrics as Record<string, unknown>;

describeOnEachEngine("with metrics.enabled", (engine) => {
  let lines: LogLines;

  beforeAll(async () => {
    port = await freePort();
    Object.assign(config.metrics, {
      enabled: true,
      port,
      maxSeries: 200,
      authorize: (connection: any) =>
        connection.rawConnection.req.headers.authorization === "Bearer good",
    });
    Object.assign(config.tasks, {
      scheduler: true,
      timeout: 20,
      minTaskProcessors: 1,
      maxTaskProcessors: 1,
      queues: ["worked"],
    });
    app = await startSocketApp();
    lines = new LogLines();
    addActions({
      good: { run: () => ({ done: true }) },
      bad: {
        run: () => {
          throw new HttpError(418, "no");
        },
      },
    });
    addTask({ name: "measured", queue: "worked", run: async () => "done" });
    addTask({
      name: "failing",
      queue: "worked",
      retry: { attempts: 2, delay: 1 },
      run: () => Promise.reject(new Error("never")),
    });
  });
  afterAll(async () => {
    lines.stop();
    await closeAll();
    removeTask("measured");
    removeTask("failing");
    await app.stop();
    Object.assign(config.metrics, {
      enabled: false,
      port: undefined,
      authorize: undefined,
      maxSeries: 1000,
    });
  });

  test.each([
    ["good", "Complete", "good"],
    ["bad", "GenericError", "bad"],
    ["made-up-by-the-client", "UnknownAction", "unknown"],
  ])("the action %s counts on each transport", async (name, status, action) => {
    await counts(ACTIONS, { transport: "web", action, status }, () =>
      ask(webPort(), `/api/${name}`),
    );
    const client = await connectWebsocket();
    await counts(ACTIONS, { transport: "websocket", action, status }, () =>
      client.action(name),
    );
    client.close();
    const peer = await SocketPeer.connect(socketPort());
    await peer.next();
    await counts(ACTIONS, { transport: "socket", action, status }, () =>
      peer.ask(JSON.stringify({ action: name })),
    );
    await peer.close();
    const { text } = await scrape();
    expect(text).not.toContain("made-up");
  });

  test.each([
    ["GET", "/api/good", "GET"],
    ["GET", "/api/none", "GET"],
    ["HEAD", "/public/none.html", "HEAD"],
    ["PURGE", "/api/good", "_OTHER"],
  ])("a request %s %s counts", async (method, path, label) => {
    const { status } = await ask(webPort(), path, { method });
    const labels = {
      http_request_method: label,
      http_response_status_code: String(status),
    };
    await counts(REQUESTS, labels, () => ask(webPort(), path, { method }));
    const active = { http_request_method: label };
    await until(
      async () => (await valueOf("http_server_active_requests", active)) === 0,
    );
  });

  test.each([
    ["an action", "/api/good"],
    ["an invalid path", "//"],
  ])(
    "a response that waits behind another one is not active once the client has left: %s",
    async (_what, target) => {
      let finish = () => undefined as void;
      addActions({
        pending: {
          run: () => new Promise<void>((resolve) => (finish = resolve)),
        },
      });
      const labels = { http_request_method: "POST" };
      const active = () => valueOf("http_server_active_requests", labels);
      const client = net.connect(webPort(), "localhost");
      const request = (path: string) =>
        `POST ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
      client.write(request("/api/pending") + request(target));
      await until(async () => (await active()) === 2);
      client.destroy();
      await until(async () => (await active()) === 0);
      finish();
    },
  );

  test("open connections, rooms and members are there", async () => {
    const connections = "actionhero_connections";
    const client = await connectWebsocket();
    const other = await connectWebsocket();
    const peer = await SocketPeer.connect(socketPort());
    await peer.next();
    expect(await valueOf(connections, { transport: "websocket" })).toBe(2);
    expect(await valueOf(connections, { transport: "socket" })).toBe(1);
    await client.request({ event: "roomAdd", room: "defaultRoom" });
    expect(await valueOf("actionhero_chat_members")).toBe(1);
    const rooms = (await chatRoom.list()).length;
    expect(rooms).toBeGreaterThan(0);
    expect(await valueOf("actionhero_chat_rooms")).toBe(rooms);
    client.close();
    other.close();
    await closeAll();
    await until(
      async () =>
        (await valueOf(connections, { transport: "websocket" })) === undefined,
    );
    expect(await valueOf("actionhero_chat_members")).toBe(0);
  });

  test("jobs count by their task, their queue and how they ended", async () => {
    const worked = { task: "measured", queue: "worked", status: "success" };
    await counts(TASKS, worked, () => task.enqueue("measured"));
    const failed = { task: "failing", queue: "worked", status: "failure" };
    await counts(TASKS, failed, () => task.enqueueJob("failing"));
    expect(
      await valueOf("actionhero_task_retries_total", {
        task: "failing",
        queue: "worked",
      }),
    ).toBe(1);
    await until(async () => (await valueOf("actionhero_failed_jobs")) === 1);
    const processors = "actionhero_task_processors";
    await until(
      async () => (await valueOf(processors, { state: "idle" })) === 1,
    );
    expect(await valueOf(processors, { state: "busy" })).toBe(0);
  });

  test("a job of a made-up class is one of an unknown task", async () => {
    const labels = { task: "unknown", queue: "worked", status: "failure" };
    await counts(TASKS, labels, () =>
      api.resque.queue.enqueue("worked", "made-up-by-a-producer", [{}]),
    );
    expect((await scrape()).text).not.toContain("made-up");
  });

  test("queues have their length, and how long their next job was seen to wait", async () => {
    const queue = "nobody-works-it";
    const length = "actionhero_queue_jobs";
    const waited = "actionhero_queue_oldest_job_seconds";
    await task.enqueue("measured", { n: 1 }, queue);
    await task.enqueue("measured", { n: 2 }, queue);
    expect(await valueOf(length, { queue })).toBe(2);
    await until(async () => (await valueOf(waited, { queue }))! >= 0.05);
    const before = (await valueOf(waited, { queue }))!;
    await task.del(queue, "measured", { n: 1 });
    expect(await valueOf(length, { queue })).toBe(1);
    expect((await valueOf(waited, { queue }))!).toBeLessThan(before + 0.05);
    await task.del(queue, "measured", { n: 2 });
    expect(await valueOf(length, { queue })).toBe(0);
    expect(await valueOf(waited, { queue })).toBe(0);
  });

  test("the cache counts hits and misses", async () => {
    const lookUps = "actionhero_cache_lookups_total";
    await cache.save("there", 1);
    const hit = () => valueOf(lookUps, { result: "hit" });
    const miss = () => valueOf(lookUps, { result: "miss" });
    await cache.load("there");
    await expect(cache.load("not there")).rejects.toThrow("Object not found");
    const [hits, misses] = [(await hit())!, (await miss())!];
    await cache.loadMany(["there", "not there", "nor this"]);
    expect([await hit(), await miss()]).toEqual([hits + 1, misses + 2]);
    await cache.wrap("wrapped", {}, () => 1);
    expect([await hit(), await miss()]).toEqual([hits + 1, misses + 3]);
    await cache.wrap("wrapped", {}, () => 1);
    expect([await hit(), await miss()]).toEqual([hits + 2, misses + 3]);
  });

  test("a command that fails is observed once, although its time-out rejects it again", async () => {
    const observe = jest.fn();
    const client = { sendCommand: (sent: Command) => sent.promise };
    const stop = measureCommands({ client: client as never }, {
      observe,
    } as never);
    const command = new Command("evalsha", []);
    const answer = client.sendCommand(command);
    command.reject(new Error("NOSCRIPT"));
    command.reject(new Error("late"));
    await expect(answer).rejects.toThrow("NOSCRIPT");
    expect(observe).toHaveBeenCalledTimes(1);
    stop();
  });

  test("redis commands have durations, also those that fail", async () => {
    const name = "db_client_operation_duration_seconds";
    const { client } = api.redis.clients;
    await client.set("text", "a");
    const incremented = client.incr("text").catch(() => undefined);
    expect(await incremented).toBe(engine.embedded ? NaN : undefined);
    const labels = {
      db_system_name: "redis",
      db_client_connection_pool_name: "client",
    };
    const set = { ...labels, db_operation_name: "set" };
    const incr = {
      ...labels,
      db_operation_name: "incr",
      error_type: "ReplyError",
    };
    if (engine.embedded) {
      expect(await valueOf(name, set)).toBeUndefined();
      return;
    }
    expect(await valueOf(name, set)).toBeGreaterThan(0);
    expect(await valueOf(name, incr)).toBe(1);
  });

  test("the process has its memory, processor time, event loop delay and garbage collection", async () => {
    await scrape();
    await until(
      async () => (await valueOf("nodejs_eventloop_lag_p99_seconds"))! >= 0,
    );
    for (const name of [
      "process_cpu_seconds_total",
      "process_resident_memory_bytes",
      "process_start_time_seconds",
      "nodejs_heap_size_used_bytes",
      "nodejs_heap_size_total_bytes",
      "nodejs_external_memory_bytes",
    ])
      expect(await valueOf(name)).toBeGreaterThan(0);
    expect(
      await valueOf("nodejs_version_info", { version: process.version }),
    ).toBe(1);
    expect((await scrape()).text).toContain(
      "# TYPE nodejs_gc_duration_seconds histogram",
    );
  });

  test("scrapes of both formats at the same time are complete", async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        scrape(i % 2 === 0 ? {} : { accept: OPEN_METRICS }),
      ),
    );
    for (const [i, { status, headers, text }] of answers.entries()) {
      expect([status, headers["cache-control"]]).toEqual([200, "no-store"]);
      const isOpen = i % 2 === 1;
      expect(headers["content-type"]).toBe(
        isOpen
          ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
          : "text/plain; version=0.0.4; charset=utf-8",
      );
      expect(text.endsWith("\n# EOF\n")).toBe(isOpen);
      // what counters are called in each format
      const [type] = /^# TYPE process_cpu.*$/m.exec(text)!;
      expect(type).toBe(
        isOpen
          ? "# TYPE process_cpu_seconds counter"
          : "# TYPE process_cpu_seconds_total counter",
      );
      expect(text).toMatch(/^process_cpu_seconds_total [\d.]+/m);
      if (isOpen) expect(text).not.toMatch(/\n\n/);
    }
  });

  test("HEAD has no body, other methods and paths are refused", async () => {
    const head = await ask(port, "/metrics", { method: "HEAD" });
    expect([head.status, head.text]).toEqual([200, ""]);
    const post = await ask(port, "/metrics", { method: "POST", body: "a" });
    expect([post.status, post.headers.allow]).toEqual([405, "GET, HEAD"]);
    expect((await ask(port, "/api/status")).status).toBe(404);
  });

  test("on the web server's port only those may read them whom metrics.authorize lets", async () => {
    const visit = (authorization = "none") =>
      ask(webPort(), "/metrics?a=1", {
        headers: { authorization, accept: OPEN_METRICS },
      });
    const good = await visit("Bearer good");
    expect(good.status).toBe(200);
    expect(good.headers["content-type"]).toContain("openmetrics");
    expect(good.text).toMatch(/# EOF\n$/);
    for (const other of [await visit(), await visit("Bearer bad")]) {
      expect(other.status).toBe(403);
      expect(other.text).not.toContain("actionhero_");
    }
    const { authorize } = api.metrics.web!;
    api.metrics.web!.authorize = () => "yes";
    expect((await visit()).status).toBe(403);
    api.metrics.web!.authorize = () => Promise.reject(new Error("broken"));
    expect((await visit()).status).toBe(500);
    api.metrics.web!.authorize = authorize;
  });

  test("a project has metrics of its own", async () => {
    const labels = ["kind"];
    const orders = { name: "shop_orders_total", help: "Orders", labels };
    api.metrics.counter(orders).inc({ kind: "book" });
    api.metrics.counter(orders).inc({ kind: "book" }, 2);
    expect(await valueOf("shop_orders_total", { kind: "book" })).toBe(3);
    const open = api.metrics.gauge({ name: "shop_open", help: "Open carts" });
    open.set(5);
    open.inc();
    open.dec(undefined, 2);
    expect(await valueOf("shop_open")).toBe(4);
    const timer = api.metrics
      .histogram({ name: "shop_seconds", help: "Time", buckets: [1, 2] })
      .startTimer();
    timer();
    expect(await valueOf("shop_seconds")).toBe(1);
    expect((await scrape()).text).toContain('shop_seconds_bucket{le="2"} 1');
    expect(() => api.metrics.gauge(orders)).toThrow(
      "the metric shop_orders_total is a counter, not a gauge",
    );
  });

  test("a collector that fails or never ends costs its metric alone, and one line in the log", async () => {
    let isBroken = true;
    api.metrics.gauge({
      name: "shop_stock",
      help: "Stock",
      collect: (gauge) => {
        if (isBroken) throw new Error("the database is away");
        gauge.set(1);
      },
    });
    expect(await valueOf("shop_stock")).toBeUndefined();
    expect(await valueOf("shop_stock")).toBeUndefined();
    expect(
      lines.matching(
        /cannot collect the metric shop_stock: Error: the database is away/,
      ),
    ).toHaveLength(1);
    isBroken = false;
    expect(await valueOf("shop_stock")).toBe(1);
    let isHanging = true;
    api.metrics.gauge({
      name: "shop_hangs",
      help: "Hangs",
      collect: () => (isHanging ? new Promise(() => undefined) : undefined),
    });
    expect(await valueOf("shop_stock")).toBe(1);
    expect(lines.matching(/cannot collect the metric shop_hangs/)).toHaveLength(
      1,
    );
    isHanging = false;
  });

  test("label values are bounded in number and length, and escaped", async () => {
    const named = { name: "shop_names_total", help: "Names", labels: ["name"] };
    const counter = api.metrics.counter(named);
    counter.inc({ name: 'a"b\\c\nd' });
    counter.inc({ name: "x".repeat(100_000) });
    for (let i = 0; i < 300; i++) counter.inc({ name: `n${i}` });
    const { text } = await scrape();
    const samples = text
      .split("\n")
      .filter((line) => line.startsWith("shop_names_total"));
    expect(samples).toHaveLength(201);
    expect(samples).toContain(
      String.raw`shop_names_total{name="a\"b\\c\nd"} 1`,
    );
    expect(samples).toContain('shop_names_total{name="other"} 102');
    expect(Math.max(...samples.map(({ length }) => length))).toBeLessThan(300);
    expect(lines.matching(/metric shop_names_total has 200 sets/)).toHaveLength(
      1,
    );
  });

  test("label values that look alike when joined are told apart, and a name that is not declared is refused every time", async () => {
    const pairs = {
      name: "shop_pairs_total",
      help: "Pairs",
      labels: ["a", "b"],
    };
    const counter = api.metrics.counter(pairs);
    counter.inc({ a: "1\0", b: "2" });
    counter.inc({ a: "1", b: "\0" + "2" });
    counter.inc({ a: "1", b: "\0" + "2" });
    expect(await valueOf("shop_pairs_total", { a: "1\0", b: "2" })).toBe(1);
    expect(await valueOf("shop_pairs_total", { a: "1", b: "\0" + "2" })).toBe(
      2,
    );
    for (let i = 0; i < 2; i++)
      expect(() => counter.inc({ a: "1", c: "3" })).toThrow(/c/);
    counter.inc({ a: "1" });
    expect(await valueOf("shop_pairs_total", { a: "1", b: "" })).toBe(1);
  });

  test("the dashboard and the documentation name the metrics that there are", async () => {
    const families = parse((await scrape()).text).map(({ name }) => name);
    const there = families.filter((name) => !name.startsWith("shop_"));
    const asked = names("examples/grafana/dashboard.json");
    const bare = asked.map((name) =>
      name.replace(/_(?:bucket|sum|count)$/, ""),
    );
    expect(bare.filter((name) => !there.includes(name))).toEqual([]);
    const page = names("docs/metrics.md");
    const undocumented = there.filter(
      (name) =>
        !/^nodejs_(?:eventloop|heap)_/.test(name) && !page.includes(name),
    );
    expect(undocumented).toEqual([]);
  });

  test("a port that is taken is an error with its name, and processes of a cluster take the next one", async () => {
    const options = {
      purpose: "metrics",
      config: "metrics",
      port,
      host: "127.0.0.1",
    };
    await expect(startPlainServer(options, () => undefined)).rejects.toThrow(
      `cannot listen for metrics @ 127.0.0.1:${port}`,
    );
    const next = await startPlainServer(
      { ...options, findsPort: true },
      () => undefined,
    );
    expect((next.address() as net.AddressInfo).port).toBeGreaterThan(port);
    await stopPlainServer(next);
  });
});

describe("without a place for the metrics", () => {
  test.each(["", "metrics"])("such as the path %j", async (path) => {
    const { path: usual } = settings();
    Object.assign(settings(), { enabled: true, path });
    await expect(new Process().initialize()).rejects.toThrow(
      `config.metrics.path must begin with "/": "${path}"`,
    );
    Object.assign(settings(), { enabled: false, path: usual });
  });

  test("the boot is refused", async () => {
    settings().enabled = true;
    await expect(new Process().initialize()).rejects.toThrow(
      "config.metrics needs a `port`, or `authorize`",
    );
    settings().enabled = false;
  });
});

describe("without metrics.enabled", () => {
  beforeAll(async () => {
    settings().port = port;
    app = await startSocketApp();
    addActions({ good: { run: () => ({ done: true }) } });
  });
  afterAll(async () => {
    await app.stop();
    settings().port = undefined;
  });

  test("nothing is measured, nobody listens, and the project's own metrics count nothing", async () => {
    expect(api.metrics.watch).toBeUndefined();
    await expect(scrape()).rejects.toThrow("ECONNREFUSED");
    expect((await ask(webPort(), "/metrics")).status).toBe(404);
    expect((await ask(webPort(), "/api/good")).json.done).toBe(true);
    api.metrics.counter({ name: "a", help: "a" }).inc();
    api.metrics.gauge({ name: "a", help: "a" }).set(1);
    api.metrics.histogram({ name: "a", help: "a" }).startTimer()();
    await expect(api.metrics.page()).rejects.toThrow("there are no metrics");
  });
});

describe("the histograms of requests", () => {
  test("are rendered as prom-client renders its own", async () => {
    const observed: [string, number, number][] = [
      ["GET", 200, 0.005],
      ["GET", 200, 0.0051],
      ["POST", 200, 11],
      ["GET", 404, 0],
    ];
    const options = { name: "seconds", help: "Time", labels: ["to", "code"] };
    const page = async (observe: (registry: Registry) => void) => {
      const registry = new Registry(require("prom-client"), 2);
      observe(registry);
      return (await registry.page("application/openmetrics-text")).text;
    };
    const ours = await page((registry) => {
      const cellOf = registry.cells(options);
      for (const [to, code, value] of observed) cellOf(to, code).observe(value);
      expect(() => registry.histogram(options)).toThrow(
        "the metric seconds is a histogram of the framework, not a histogram",
      );
    });
    const theirs = await page((registry) => {
      const histogram = registry.histogram(options);
      for (const [to, code, value] of observed)
        histogram.observe(value, { to, code });
    });
    expect(ours).toBe(theirs);
    expect(ours).toContain('seconds_count{to="other",code="other"} 1');
  });
});
