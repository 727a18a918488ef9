/** `tracing.enabled`, with the real SDK: which spans there are, how they hang together, and what they cost while it is off. */
import { once } from "node:events";
import * as net from "node:net";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import {
  closeAll,
  SocketPeer,
  socketPort,
  startSocketApp,
} from "../support/socketApp";
import { addTask, removeTask } from "../support/taskApp";
import { describeOnEachEngine } from "../support/engines";
import { LogLines } from "../support/logLines";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { RemoteNode } from "../support/remoteNode";
import { idOf, parentOf, Spans, traceOf } from "../support/spans";
import { until } from "../support/until";
import { addActions, ask } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import {
  action,
  api,
  cache,
  chatRoom,
  config,
  HttpError,
  rebuildConfig,
  redis,
  task,
  type Process,
} from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
const traceparent = `00-${TRACE}-${SPAN}-01`;

const { SERVER, CLIENT, INTERNAL, PRODUCER, CONSUMER } = SpanKind;
const { ERROR, UNSET } = SpanStatusCode;

let app: Process;
let spans: Spans;

const web = (path: string, headers = {}) =>
  ask(webPort(), `/api${path}`, { headers });

const actions = {
  looks: {
    middleware: ["guard"],
    run: async () => {
      await cache.save("there", 1);
      await cache.load("there");
      await cache.load("nowhere").catch(() => undefined);
      return { traceparent: api.tracing.traceparent() };
    },
  },
  outer: { run: () => action.run("looks") },
  breaks: {
    run: () => {
      throw new TypeError("the disk is full");
    },
  },
  refuses: {
    run: () => {
      throw new HttpError(404, "no such thing");
    },
  },
  enqueues: {
    run: async () => {
      const id = await task.enqueueJob("traced", { word: "linked" });
      await task.enqueue("traced", { word: "alone" });
      return { id };
    },
  },
  calls: {
    run: () =>
      redis.doCluster("api.shop.countOf", ["a"], undefined, true).then(
        (count) => ({ count }),
        () => ({}),
      ),
  },
  waits: { run: () => new Promise(() => undefined) },
};

/** What runs in the job. */
const runs: Record<string, () => unknown> = {
  again: () => {
    throw new RangeError("not the first time");
  },
};

async function start(carryContext = false): Promise<void> {
  config.tracing.enabled = true;
  config.general.context = true;
  Object.assign(config.tasks, {
    carryContext,
    scheduler: true,
    timeout: 20,
    minTaskProcessors: 1,
    maxTaskProcessors: 1,
    queues: ["jobs"],
  });
  app = await startSocketApp();
  action.addMiddleware({
    name: "guard",
    global: false,
    preProcessor: () => undefined,
    postProcessor: () => undefined,
  });
  addActions(actions);
  api.routes.routes.get.push({ path: "/users/:id", action: "looks" });
  addTask({
    name: "traced",
    queue: "jobs",
    inputs: { word: { required: false } },
    retry: { attempts: 2, delay: 1 },
    run: async ({ word }: any, worker: any) => {
      if ((worker.job?.attempt ?? 1) === 1) runs[word]?.();
      return cache.save("ran", word);
    },
  });
}

async function stop(): Promise<void> {
  await closeAll();
  removeTask("traced");
  await app.stop();
  config.tracing.enabled = false;
  config.general.context = false;
}

describeOnEachEngine("with tracing.enabled and an SDK", () => {
  beforeAll(async () => {
    spans = new Spans();
    spans.register();
    await start();
  });
  afterAll(async () => {
    await stop();
    await spans.stop();
  });
  beforeEach(() => spans.clear());

  test("the address of an IPv4 client is written as in the log", async () => {
    await fetch(`http://127.0.0.1:${webPort()}/api/users/5`);
    const server = await spans.ended("GET /api/users/:id");
    expect(server.attributes["client.address"]).toBe("127.0.0.1");
  });

  test("a request, its action, the middleware and the cache are one trace", async () => {
    const { json, headers } = await web("/users/5?secret=1");
    const server = await spans.ended("GET /api/users/:id");
    expect(server.kind).toBe(SERVER);
    expect(parentOf(server)).toBeUndefined();
    expect(server.status.code).toBe(UNSET);
    expect(server.attributes).toMatchObject({
      "http.request.method": "GET",
      "http.response.status_code": 200,
      "http.route": "/api/users/:id",
      "url.path": "/api/users/5",
      "url.scheme": "http",
      "server.address": "localhost",
      "server.port": webPort(),
      "network.protocol.version": "1.1",
      "actionhero.request.id": headers["x-request-id"],
    });
    expect(JSON.stringify(server.attributes)).not.toContain("secret");

    const run = await spans.ended("action looks");
    expect(run.kind).toBe(INTERNAL);
    expect(parentOf(run)).toBe(idOf(server));
    expect(run.attributes).toEqual({
      "actionhero.transport": "web",
      "actionhero.action.name": "looks",
      "actionhero.action.version": "1",
      "actionhero.action.status": "Complete",
    });
    expect(json.traceparent).toBe(`00-${traceOf(server)}-${idOf(run)}-01`);

    const inside = spans.all.filter((span) => parentOf(span) === idOf(run));
    expect(inside.map(({ name }) => name).sort()).toEqual([
      "cache load",
      "cache load",
      "cache save",
      "middleware guard",
      "middleware guard",
    ]);
    const of = (name: string, key: string) =>
      inside
        .filter((span) => span.name === name)
        .map(({ attributes }) => attributes[key]);
    expect(of("middleware guard", "actionhero.middleware.phase")).toEqual([
      "preProcessor",
      "postProcessor",
    ]);
    expect(of("cache load", "actionhero.cache.hits")).toEqual([1, 0]);
    for (const span of spans.all) {
      expect(traceOf(span)).toBe(traceOf(server));
      expect(span.status.code).toBe(UNSET);
    }
  });

  test("an action that a request to the bare prefix names has the route of its path", async () => {
    await fetch(`http://localhost:${webPort()}/api?action=looks`, {
      method: "POST",
    });
    const server = await spans.ended("POST /api/looks");
    expect(server.attributes["http.route"]).toBe("/api/looks");
  });

  test("what an action runs in-line is below it, and the request keeps the name of its own", async () => {
    await web("/outer");
    const server = await spans.ended("GET /api/outer");
    const outer = await spans.ended("action outer");
    const inner = await spans.ended("action looks");
    expect(parentOf(outer)).toBe(idOf(server));
    expect(parentOf(inner)).toBe(idOf(outer));
  });

  test("requests at the same time have traces of their own", async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => web("/looks")),
    );
    const traces = answers.map(({ json }) => json.traceparent.split("-")[1]);
    expect(new Set(traces).size).toBe(10);
  });

  test("an error is that of the action, and of the request when its status is one of the server", async () => {
    const { status } = await web("/breaks");
    const run = await spans.ended("action breaks");
    expect(run.status).toEqual({ code: ERROR, message: "the disk is full" });
    expect(run.attributes).toMatchObject({
      "error.type": "TypeError",
      "actionhero.action.status": "GenericError",
    });
    const [{ attributes }] = run.events;
    expect(attributes).toMatchObject({
      "exception.type": "TypeError",
      "exception.message": "the disk is full",
    });
    const server = await spans.ended("GET /api/breaks");
    expect(server.attributes["http.response.status_code"]).toBe(status);
    expect(server.status.code).toBe(status >= 500 ? ERROR : UNSET);
  });

  test("an error that is the client's has its type, and is no error of a span", async () => {
    await web("/refuses");
    const run = await spans.ended("action refuses");
    expect(run.attributes["error.type"]).toBe("HttpError");
    expect(run.status.code).toBe(UNSET);
    expect(run.events).toEqual([]);
    const server = await spans.ended("GET /api/refuses");
    expect(server.attributes["http.response.status_code"]).toBe(404);
    expect(server.status.code).toBe(UNSET);
  });

  test("names that clients make up name no span", async () => {
    await web("/made-up");
    const run = await spans.ended("action");
    expect(run.attributes["actionhero.action.status"]).toBe("UnknownAction");
    expect(run.attributes["error.type"]).toBe("UnknownAction");
    await spans.ended("GET");
    const client = await connectWebsocket();
    await client.action("made-up");
    await client.request({ event: "made-up" });
    client.close();
    await until(
      () =>
        spans.names.filter((name) => name === "websocket message").length === 2,
    );
    await ask(webPort(), "/api/looks", { method: "PURGE" });
    const other = await spans.ended(
      "HTTP",
      ({ attributes }) => attributes["http.request.method"] === "_OTHER",
    );
    expect(other.attributes["http.request.method_original"]).toBe("PURGE");
    expect(spans.names.join()).not.toContain("made-up");
  });

  test("a client that leaves before its response has no status", async () => {
    const socket = net.connect(webPort(), "127.0.0.1");
    await once(socket, "connect");
    const begun = once(api.servers.servers.web, "connection");
    socket.write("GET /api/waits HTTP/1.1\r\nHost: a\r\n\r\n");
    await begun;
    socket.destroy();
    const server = await spans.ended("GET /api/waits");
    expect(server.attributes["error.type"]).toBe("client_left");
    expect(server.attributes).not.toHaveProperty("http.response.status_code");
  });

  describe("behind a trusted proxy", () => {
    beforeEach(() => {
      config.web.trustProxy = "loopback";
    });

    test("the trace of the proxy goes on", async () => {
      const tracestate = "vendor=a";
      const { json } = await web("/looks", { traceparent, tracestate });
      const server = await spans.ended("GET /api/looks");
      expect(traceOf(server)).toBe(TRACE);
      expect(parentOf(server)).toBe(SPAN);
      expect(server.spanContext().traceState?.serialize()).toBe(tracestate);
      expect(json.traceparent).toContain(TRACE);
    });

    test("a request that the proxy does not sample has no spans, and the id goes on", async () => {
      const { json } = await web("/looks", {
        traceparent: traceparent.replace(/01$/, "00"),
      });
      expect(json.traceparent).toMatch(new RegExp(`^00-${TRACE}-.*-00$`));
      expect(spans.names).toEqual([]);
    });

    test.each(["", "made up", `00-${"0".repeat(32)}-${SPAN}-01`])(
      "the header %j begins a trace",
      async (sent) => {
        await web("/looks", { traceparent: sent });
        const server = await spans.ended("GET /api/looks");
        expect(parentOf(server)).toBeUndefined();
      },
    );
  });

  test.each<[typeof config.web.trustProxy]>([[undefined], [false]])(
    "with web.trustProxy %j the traces of clients are ignored",
    async (trustProxy) => {
      config.web.trustProxy = trustProxy;
      await web("/looks", { traceparent });
      const server = await spans.ended("GET /api/looks");
      expect(traceOf(server)).not.toBe(TRACE);
      expect(parentOf(server)).toBeUndefined();
    },
  );

  test("each message of a websocket and each line of a TCP client has a trace of its own", async () => {
    const client = await connectWebsocket();
    const first = await client.action("looks");
    const second = await client.action("looks");
    client.close();
    const peer = await SocketPeer.connect(socketPort());
    await peer.next();
    const third = await peer.ask(JSON.stringify({ action: "looks" }));
    const traces = [first, second, third].map(
      (reply) => reply.traceparent.split("-")[1],
    );
    expect(new Set(traces).size).toBe(3);
    for (const [i, trace] of traces.entries()) {
      const isIt = (span: Parameters<typeof traceOf>[0]) =>
        traceOf(span) === trace;
      const server = await spans.ended("action/looks", isIt);
      const run = await spans.ended("action looks", isIt);
      expect(server.kind).toBe(SERVER);
      expect(server.attributes).toMatchObject({
        "rpc.system.name": "actionhero",
        "rpc.method": "action/looks",
        "actionhero.transport": i < 2 ? "websocket" : "socket",
      });
      expect(parentOf(run)).toBe(idOf(server));
      expect(spans.all.indexOf(server)).toBeGreaterThan(spans.all.indexOf(run));
    }
  });

  test("an action that fails is an error of its message", async () => {
    const client = await connectWebsocket();
    await client.action("breaks");
    await client.action("refuses");
    client.close();
    const broken = await spans.ended("action/breaks");
    expect(broken.status.code).toBe(ERROR);
    expect(broken.attributes["error.type"]).toBe("TypeError");
    const refused = await spans.ended("action/refuses");
    expect(refused.status.code).toBe(UNSET);
    expect(refused.attributes["error.type"]).toBe("HttpError");
  });

  test("verbs, files and what is said in rooms have spans, with the middleware of chat below", async () => {
    await chatRoom.addMiddleware({
      name: "censor",
      onSayReceive: (_connection: unknown, _room: string, said: unknown) =>
        said,
    });
    const client = await connectWebsocket();
    await client.request({ event: "roomAdd", room: "defaultRoom" });
    await client.request({ event: "say", room: "defaultRoom", message: "hi" });
    await client.request({ event: "file", file: "none.html" });
    client.close();
    api.chatRoom.globalMiddleware.length = 0;
    delete api.chatRoom.middleware.censor;
    await spans.ended("verb/roomAdd");
    await spans.ended("file");
    const say = await spans.ended("verb/say");
    const sent = await spans.ended("say chat");
    expect(sent.kind).toBe(PRODUCER);
    expect(parentOf(sent)).toBe(idOf(say));
    expect(sent.attributes).toEqual({
      "messaging.system": "actionhero",
      "messaging.operation.type": "send",
      "messaging.operation.name": "say",
      "messaging.destination.name": "defaultRoom",
    });
    const censor = await spans.ended("middleware censor");
    expect(parentOf(censor)).toBe(idOf(sent));
  });

  test("a job of enqueueJob belongs to the trace that enqueued it, and is linked to it; one of enqueue has its own", async () => {
    const { json } = await web("/enqueues");
    const isLinked = (span: { attributes: Record<string, unknown> }) =>
      span.attributes["messaging.message.id"] === json.id;
    const linked = await spans.ended("process jobs", isLinked);
    const sent = await spans.ended("enqueue jobs", isLinked);
    const run = await spans.ended("action enqueues");
    expect([sent.kind, linked.kind]).toEqual([PRODUCER, CONSUMER]);
    expect(parentOf(sent)).toBe(idOf(run));
    expect(traceOf(linked)).toBe(traceOf(run));
    expect(parentOf(linked)).toBe(idOf(sent));
    expect(linked.links.map(({ context }) => context.spanId)).toEqual([
      idOf(sent),
    ]);
    expect(linked.attributes).toMatchObject({
      "messaging.system": "actionhero",
      "messaging.destination.name": "jobs",
      "messaging.operation.type": "process",
      "actionhero.task.name": "traced",
      "actionhero.task.attempt": 1,
    });
    const saved = await spans.ended(
      "cache save",
      (span) => parentOf(span) === idOf(linked),
    );
    expect(traceOf(saved)).toBe(traceOf(run));
    const alone = await spans.ended("process jobs", (span) => !isLinked(span));
    expect(traceOf(alone)).not.toBe(traceOf(run));
    expect(alone.links).toEqual([]);
  });

  test("each attempt of a job belongs to the trace, and one that failed has its error", async () => {
    const id = await task.enqueueJob("traced", { word: "again" });
    const attempt = (n: number) =>
      spans.ended(
        "process jobs",
        ({ attributes }) =>
          attributes["messaging.message.id"] === id &&
          attributes["actionhero.task.attempt"] === n,
      );
    const [first, second] = [await attempt(1), await attempt(2)];
    expect(first.status.code).toBe(ERROR);
    expect(first.attributes["error.type"]).toBe("RangeError");
    expect(second.status.code).toBe(UNSET);
    expect(traceOf(second)).toBe(traceOf(first));
    expect(parentOf(second)).toBe(parentOf(first));
  });

  test("enqueueIn, enqueueAt, enqueueMany and task.run have spans, with the middleware of tasks below", async () => {
    await task.addMiddleware({
      name: "clock",
      global: true,
      preProcessor: () => true,
    });
    await task.enqueueIn(100_000, "traced", { word: "in" });
    await task.enqueueAt(Date.now() + 100_000, "traced", { word: "at" });
    await task.enqueueMany("traced", [{}, {}], "later");
    const many = await spans.ended("enqueue later");
    expect(many.attributes["messaging.batch.message_count"]).toBe(2);
    expect(spans.names.filter((name) => name === "enqueue jobs")).toHaveLength(
      2,
    );
    await task.run("traced", {});
    const run = await spans.ended("task traced");
    const clock = await spans.ended("middleware clock");
    api.tasks.globalMiddleware.length = 0;
    delete api.tasks.middleware.clock;
    expect(parentOf(clock)).toBe(idOf(run));
  });

  test("a call to the cluster has a span where it is made and one where it runs", async () => {
    const rpc = api as unknown as { shop?: object };
    rpc.shop = { countOf: () => cache.save("counted", 1).then(() => 1) };
    await web("/calls");
    const called = await spans.ended(
      "cluster/api.shop.countOf",
      ({ kind }) => kind === CLIENT,
    );
    const ran = await spans.ended(
      "cluster/api.shop.countOf",
      ({ kind }) => kind === SERVER,
    );
    const run = await spans.ended("action calls");
    expect(parentOf(called)).toBe(idOf(run));
    expect(parentOf(ran)).toBe(idOf(called));
    expect(ran.attributes).toEqual({
      "rpc.system.name": "actionhero",
      "rpc.method": "cluster/api.shop.countOf",
    });
    const saved = await spans.ended("cache save");
    expect(parentOf(saved)).toBe(idOf(ran));
    rpc.shop = { countOf: () => Promise.reject(new RangeError("no")) };
    spans.clear();
    await web("/calls");
    const failed = await spans.ended(
      "cluster/api.shop.countOf",
      ({ kind }) => kind === SERVER,
    );
    expect(failed.status.code).toBe(ERROR);
    delete rpc.shop;
  });

  test("the middleware of connections is below the request; health checks have no spans", async () => {
    api.connections.addMiddleware({ name: "greets", create: () => undefined });
    await web("/looks");
    const server = await spans.ended("GET /api/looks");
    const greets = await spans.ended("middleware greets");
    api.connections.globalMiddleware.length = 0;
    delete api.connections.middleware.greets;
    expect(parentOf(greets)).toBe(idOf(server));
  });

  test("a project makes spans of its own", async () => {
    expect(api.tracing.isOn).toBe(true);
    const total = await api.tracing.span(
      "shop total",
      async () => (await cache.save("total", 7)) && 7,
      { "shop.id": 5, "shop.none": undefined },
    );
    expect(total).toBe(7);
    const own = await spans.ended("shop total");
    expect(own.attributes).toEqual({ "shop.id": 5 });
    const saved = await spans.ended("cache save");
    expect(parentOf(saved)).toBe(idOf(own));
    const fail = () =>
      api.tracing.span("shop breaks", () => {
        throw new RangeError("no");
      });
    expect(fail).toThrow("no");
    const broken = await spans.ended("shop breaks");
    expect(broken.attributes["error.type"]).toBe("RangeError");
    expect(api.tracing.traceparent()).toBeUndefined();
  });

  test("details outside of any work have no spans", async () => {
    await cache.save("alone", 1);
    await cache.load("alone");
    expect(spans.names).toEqual([]);
  });
});

describeOnRedis("on two nodes", () => {
  const server = new RedisServer();
  let node: RemoteNode;

  beforeAll(async () => {
    await server.start();
    node = await RemoteNode.start({
      title: "works",
      redisUrl: server.url,
      overrides: {
        general: { paths: { task: ["tasks"] }, context: true },
        tracing: { enabled: true },
        tasks: {
          scheduler: true,
          timeout: 20,
          minTaskProcessors: 1,
          maxTaskProcessors: 1,
        },
      },
      env: {
        NODE_OPTIONS: `--require ${require.resolve("../support/otelSdk")}`,
      },
      files: {
        "tasks/far.js": `
          const { Task, cache } = require(${JSON.stringify(require.resolve("../../src/index"))});
          exports.Far = class extends Task {
            name = "far";
            description = "runs on the other node";
            queue = "far";
            async run() { await cache.save("far", 1); }
          };`,
      },
    });
    process.env.REDIS_URL = `${server.url}/0`; // that of the other process
    rebuildConfig();
    spans = new Spans();
    spans.register();
    await start(true);
    addTask({ name: "far", queue: "far", run: async () => undefined });
    addActions({
      sends: { run: async () => ({ id: await task.enqueueJob("far") }) },
      sendsPlainly: { run: () => task.enqueue("far").then(() => ({})) },
      sendsLater: { run: () => task.enqueueIn(1, "far").then(() => ({})) },
    });
  }, 90_000);

  afterAll(async () => {
    removeTask("far");
    await stop();
    await spans.stop();
    await node.stop();
    await server.stop();
    config.tasks.carryContext = false;
    delete process.env.REDIS_URL;
    rebuildConfig();
  }, 60_000);

  test("one trace leads from a request to the job that another process runs", async () => {
    const { json } = await web("/sends");
    const request = await spans.ended("GET /api/sends");
    const sent = await spans.ended("enqueue far");
    const remote = () =>
      node.run(() => (globalThis as any).spans() as Record<string, any>[]);
    const found = await until(async () => {
      const all = await remote();
      const job = all.find(({ name }) => name === "process far");
      const saved = all.find(({ name }) => name === "cache save");
      return job && saved && { job, saved };
    }, 30_000);
    const { job, saved } = found;
    expect(job.traceId).toBe(traceOf(request));
    expect(job.parentId).toBe(idOf(sent));
    expect(job.links).toEqual([idOf(sent)]);
    expect(job.attributes["messaging.message.id"]).toBe(json.id);
    expect(saved.traceId).toBe(traceOf(request));
    expect(saved.parentId).toBe(job.spanId);
    expect(spans.names).not.toContain("process far");
  });

  test.each(["sendsPlainly", "sendsLater"])(
    "with tasks.carryContext, the job of the action %s belongs to the trace of its request, too",
    async (name) => {
      spans.clear();
      await web(`/${name}`);
      const request = await spans.ended(`GET /api/${name}`);
      const sent = await spans.ended("enqueue far");
      const job = await until(async () => {
        const all = await node.run(
          () => (globalThis as any).spans() as Record<string, any>[],
        );
        return all.find(
          (span) =>
            span.name === "process far" && span.traceId === traceOf(request),
        );
      }, 30_000);
      expect(job.parentId).toBe(idOf(sent));
      expect(job.links).toEqual([idOf(sent)]);
    },
  );
});

describe("without an SDK", () => {
  test("the log says so, and there are no spans", async () => {
    const lines = new LogLines();
    await start();
    expect(lines.at("warning", /no SDK of OpenTelemetry/)).toHaveLength(1);
    lines.stop();
    expect(api.tracing.isOn).toBe(false);
    expect((await web("/looks")).json.error).toBeUndefined();
    await stop();
  });
});

describe("without tracing.enabled", () => {
  beforeAll(async () => {
    spans = new Spans();
    spans.register();
    config.general.context = true;
    app = await startSocketApp();
    addActions({ calls: actions.calls });
  });
  afterAll(async () => {
    await stop();
    await spans.stop();
  });

  test("nothing is traced, sent or kept, and the project's own spans cost nothing", async () => {
    const rpc = api as unknown as { shop?: object };
    rpc.shop = { countOf: () => 1 };
    const publish = jest.spyOn(redis, "publish");
    await web("/calls");
    const [[sent]] = publish.mock.calls;
    publish.mockRestore();
    delete rpc.shop;
    expect(JSON.stringify(sent)).toContain("countOf");
    expect(JSON.stringify(sent)).not.toContain("traceparent");
    expect(api.tracing.isOn).toBe(false);
    expect(api.tracing.span("shop", () => 5)).toBe(5);
    expect(api.tracing.traceparent()).toBeUndefined();
    expect(spans.names).toEqual([]);
  });
});
