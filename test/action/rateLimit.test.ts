import { EventEmitter, once } from "node:events";
import * as net from "node:net";
import { SocketPeer } from "../support/socketApp";
import { connectWebsocket } from "../support/websocketClient";
import { addActions, startWebApp, type WebApp } from "../support/webApp";
import { action, api, config, rateLimit, specHelper } from "../../src/index";
import { FlakyProxy } from "../support/flakyProxy";
import { addRateLimit } from "../../src/action/rateLimit";
import { describeOnEachEngine } from "../support/engines";
import { until } from "../support/until";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

async function start(rateLimit: object | null): Promise<WebApp> {
  Object.assign(config.general, { rateLimit });
  Object.assign(config.socket, {
    enabled: true,
    port: 0,
    bindIP: "127.0.0.1",
  });
  const app = await startWebApp();
  addActions({
    hello: { run: () => ({ hello: "world" }) },
    sendsFile: {
      run: async (data) => {
        data.toRender = false;
        await data.connection.sendFile("simple.html");
      },
    },
  });
  return app;
}

describeOnEachEngine("the rate limit", (engine) => {
  let app: WebApp;
  const limit: any = {};

  beforeAll(async () => {
    Object.assign(limit, { requests: 3, perMs: 60_000 });
    app = await start(limit);
  });
  beforeEach(() => engine.flush());
  afterEach(() => {
    delete limit.by;
    delete limit.proxies;
    delete limit.files;
    limit.perMs = 60_000;
  });
  afterAll(() => app.stop());

  async function connectPeer(): Promise<SocketPeer> {
    const { port } = api.servers.servers.socket.server.address() as {
      port: number;
    };
    const peer = await SocketPeer.connect(port);
    await peer.next(); // the welcome
    return peer;
  }

  const hello = (headers?: Record<string, string>) =>
    app.ask("/api/hello", { headers });

  test("the limit counts down, and then refuses with 429", async () => {
    for (const left of [2, 1, 0]) {
      const { status, headers, json } = await hello();
      expect(status).toBe(200);
      expect(headers["x-ratelimit-limit"]).toBe("3");
      expect(headers["x-ratelimit-remaining"]).toBe(String(left));
      expect(json.requesterInformation.RequestsRemaining).toBe(left);
    }
    const refused = await hello();
    expect(refused.status).toBe(429);
    expect(refused.json.error).toBe("too many requests (limit 3 per 60000 ms)");
    expect(refused.json.hello).toBeUndefined();
    expect(refused.headers["x-ratelimit-remaining"]).toBe("0");
    const seconds = Number(refused.headers["retry-after"]);
    expect(seconds).toBeGreaterThan(50);
    expect(seconds).toBeLessThanOrEqual(60);
  });

  test("the limit starts again after perMs", async () => {
    limit.perMs = 300;
    await until(async () => (await hello()).status === 429);
    await until(async () => (await hello()).status === 200);
  });

  test("a counter without an expiry gets one", async () => {
    await hello();
    const [key] = await engine.client().keys("actionhero:rateLimit:*");
    await engine.client().persist(key);
    await hello();
    expect(await engine.client().pttl(key)).toBeGreaterThan(0);
  });

  test("neither cookies nor headers of a client give it a new limit", async () => {
    for (let i = 0; i < 3; i++)
      await hello({
        cookie: `sessionID=${i}`,
        "x-forwarded-for": `10.0.0.${i}`,
        "x-real-ip": `10.0.1.${i}`,
      });
    expect((await hello()).status).toBe(429);
    expect(await engine.client().keys("actionhero:rateLimit:*")).toHaveLength(
      1,
    );
  });

  test("behind proxies, their entries of X-Forwarded-For count", async () => {
    limit.proxies = 1;
    const from = (list: string) => hello({ "x-forwarded-for": list });
    for (let i = 0; i < 3; i++) await from(`10.9.9.${i}, 10.0.0.1`);
    expect((await from("10.0.0.1")).status).toBe(429);
    expect((await from("10.0.0.2")).status).toBe(200);
    const { headers } = await from("2001:db8:0:1::1");
    expect(headers["x-ratelimit-remaining"]).toBe("2");
    const sameHouse = await from("nonsense, 2001:db8:0:1:ffff::2");
    expect(sameHouse.headers["x-ratelimit-remaining"]).toBe("1");
    // an invalid address counts as the proxy itself
    const odd = await from(`${"x".repeat(5000)}, <script>`);
    expect(odd.headers["x-ratelimit-remaining"]).toBe("2");
  });

  test("clients are counted by fingerprint of any length", async () => {
    limit.by = "fingerprint";
    const as = (id: string) => hello({ cookie: `sessionID=${id}` });
    const long = "x".repeat(200);
    for (let i = 0; i < 3; i++) expect((await as(long)).status).toBe(200);
    expect((await as(long)).status).toBe(429);
    expect((await as("another")).status).toBe(200);
    for (const key of await engine.client().keys("actionhero:rateLimit:*"))
      expect(key.length).toBeLessThan(80);
  });

  test("requests at the same time are counted one by one", async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => hello()));
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([200, 200, 200, 429, 429, 429, 429, 429]);
  });

  test("all transports are counted together, without in-line actions", async () => {
    const peer = await connectPeer();
    for (let i = 0; i < 5; i++) await action.run("hello");
    await hello();
    expect((await peer.ask("hello")).hello).toBe("world");
    await hello();
    expect(await peer.ask("hello")).toMatchObject({
      error: "too many requests (limit 3 per 60000 ms)",
      context: "response",
      code: 429,
    });
    await peer.close();
  });

  test("websockets are counted by address, also behind proxies", async () => {
    limit.proxies = 1;
    const from = (address: string) =>
      connectWebsocket({
        headers: { "x-forwarded-for": `1.1.1.1, ${address}` },
      });
    const [client, other] = await Promise.all([
      from("10.0.0.1"),
      from("10.0.0.2"),
    ]);
    for (let i = 0; i < 3; i++)
      expect((await client.action("hello")).hello).toBe("world");
    expect(await client.action("hello")).toMatchObject({
      error: expect.stringMatching(/too many requests/),
      code: 429,
    });
    expect((await other.action("hello")).hello).toBe("world");
    for (const { ws } of [client, other]) ws.terminate();
    await Promise.all([client.closed, other.closed]);
  });

  test("requests for actions that do not exist count", async () => {
    for (let i = 0; i < 3; i++)
      expect((await app.ask("/api/guess")).status).toBe(404);
    const { status, headers, json } = await app.ask("/api/guess");
    expect(status).toBe(429);
    expect(headers["x-ratelimit-remaining"]).toBe("0");
    expect(json.error).toMatch(/too many requests/);
    expect((await hello()).status).toBe(429);
  });

  test("requests with a wrong method count", async () => {
    const { strictHttp } = config.web;
    config.web.strictHttp = true;
    try {
      const wrong = () => app.ask("/api/hello", { method: "PROPFIND" });
      for (let i = 0; i < 3; i++) expect((await wrong()).status).toBe(405);
      const { status, json } = await wrong();
      expect(status).toBe(429);
      expect(json.error).toMatch(/too many requests/);
      expect((await hello()).status).toBe(429);
    } finally {
      config.web.strictHttp = strictHttp;
    }
  });

  describe("the body of a request", () => {
    const post = (body: string, headers: Record<string, string> = {}) =>
      app.ask("/api/hello", {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body,
      });
    const used = async () => {
      const { headers } = await hello();
      return 2 - Number(headers["x-ratelimit-remaining"]);
    };

    test("a body counts once", async () => {
      const { status, headers } = await post("{}");
      expect(status).toBe(200);
      expect(headers["x-ratelimit-remaining"]).toBe("2");
      expect(headers["ratelimit"]).toMatch(/^"rateLimit";r=2;t=\d+$/);
      expect(await used()).toBe(1);
    });

    test("a malformed body counts, too", async () => {
      for (let i = 0; i < 3; i++) expect((await post("{")).status).toBe(400);
      const { status, headers } = await post("{");
      expect(status).toBe(429);
      expect(headers["retry-after"]).toMatch(/^\d+$/);
    });

    test("is not read from a client over its limit", async () => {
      for (let i = 0; i < 3; i++) await hello();
      const socket = net.connect(app.port, "127.0.0.1");
      socket.write(
        [
          "POST /api/hello HTTP/1.1",
          "Host: localhost",
          "Content-Type: application/json",
          "Content-Length: 900000",
          "Expect: 100-continue",
          "\r\n",
        ].join("\r\n"),
      );
      const [answer] = await once(socket, "data");
      expect(String(answer)).toMatch(/^HTTP\/1.1 429 /);
      expect(String(answer)).toContain('"error":');
      socket.destroy();
    });
  });

  test("actions that are blocked for the transport count", async () => {
    const { hello: versions } = api.actions.actions;
    versions[1].blockedConnectionTypes = ["web"];
    try {
      for (let i = 0; i < 3; i++) await hello();
      expect((await hello()).status).toBe(429);
    } finally {
      versions[1].blockedConnectionTypes = [];
    }
  });

  test("verbs of websockets count, known or not, and leaving is always allowed", async () => {
    const client = await connectWebsocket();
    await client.request({ event: "detailsView" });
    await client.request({ event: "roomAdd", room: "defaultRoom" });
    const unknown = await client.request({ event: "guess" });
    expect(unknown.error).toMatch(/verb/);
    const refused = await client.request({ event: "detailsView" });
    expect(refused.error).toBe(
      "Error: too many requests (limit 3 per 60000 ms)",
    );
    expect(refused.data).toEqual({});
    expect(refused.code).toBe(429);
    expect((await client.action("hello")).error).toMatch(/too many requests/);
    client.send({ event: "quit" });
    await client.closed;
  });

  test("verbs of TCP count, and leaving is always allowed", async () => {
    const peer = await connectPeer();
    for (let i = 0; i < 3; i++)
      expect((await peer.ask("detailsView")).status).toBe("OK");
    expect((await peer.ask("detailsView")).error).toMatch(/too many requests/);
    expect((await peer.ask("guess")).error).toMatch(/too many requests/);
    expect((await peer.ask("quit")).status).toBe("Bye");
  });

  test("verbs that the server itself runs do not count", async () => {
    const client = await connectWebsocket();
    const [connection] = api.servers.servers.websocket.connections();
    for (let i = 0; i < 5; i++) await connection.verbs("detailsView");
    expect((await client.action("hello")).hello).toBe("world");
    client.close();
    await client.closed;
  });

  test("files do not count, unless `files` is on", async () => {
    const peer = await connectPeer();
    const client = await connectWebsocket();
    const overHttp = () => app.ask("/public/simple.html");
    const overWebsocket = () =>
      client.request({ event: "file", file: "simple.html" });
    for (let i = 0; i < 5; i++) {
      expect((await overHttp()).status).toBe(200);
      expect((await overWebsocket()).content).toMatch(/<html/);
    }
    expect((await hello()).headers["x-ratelimit-remaining"]).toBe("2");

    limit.files = true;
    expect((await overHttp()).headers["x-ratelimit-remaining"]).toBe("1");
    expect((await overWebsocket()).content).toMatch(/<html/);
    const { status, headers, json } = await overHttp();
    expect(status).toBe(429);
    expect(headers["retry-after"]).toBeDefined();
    expect(json.error).toMatch(/too many requests/);
    expect((await overWebsocket()).error).toMatch(/too many requests/);
    expect((await peer.ask("file simple.html")).error).toMatch(
      /too many requests/,
    );
    client.close();
    await Promise.all([peer.close(), client.closed]);
  });

  test("a file that an action sends counts as the action alone", async () => {
    limit.files = true;
    for (const left of ["2", "1", "0"]) {
      const { status, headers } = await app.ask("/api/sendsFile");
      expect(status).toBe(200);
      expect(headers["x-ratelimit-remaining"]).toBe(left);
    }
  });

  test("the specHelper's connections count by their address", async () => {
    const connection = await specHelper.buildConnection();
    for (let i = 0; i < 3; i++)
      expect(
        (await specHelper.runAction("hello", connection)).error,
      ).toBeUndefined();
    const { error } = await specHelper.runAction("hello", connection);
    expect(error).toMatch(/too many requests/);
  });

  test("the project words the error, and its code is the status", async () => {
    config.errors.rateLimited = (_connection, { requests }) => ({
      code: 503,
      message: `only ${requests}`,
    });
    for (let i = 0; i < 3; i++) await hello();
    const { status, json } = await hello();
    expect([status, json.error]).toEqual([503, "only 3"]);
  });

  engine.only("redis", "as the embedded engine cannot go away", () => {
    test("while redis is unavailable every request is allowed, without a delay", async () => {
      const proxy = await new FlakyProxy(engine.server!.port).start();
      const own = api.redis.clients.client;
      const { Redis } = jest.requireActual<typeof import("ioredis")>("ioredis");
      const client = new Redis({ host: "127.0.0.1", port: proxy.port });
      client.on("error", () => undefined);
      await until(() => client.status === "ready");
      api.redis.clients.client = client;
      try {
        proxy.stall(); // until redis is back there is no answer of it that they could wait for
        for (let i = 0; i < 6; i++) expect((await hello()).status).toBe(200);

        const evalsha = jest.spyOn(client, "evalsha");
        // heartbeats use this client, too
        const asked = () =>
          evalsha.mock.calls.filter((args) =>
            args.some((arg) => String(arg).includes(":rateLimit:")),
          );
        const later = performance.now() + 2000; // redis may be asked once more
        const clock = jest.spyOn(performance, "now").mockReturnValue(later);
        await Promise.all([1, 2, 3, 4, 5].map(() => hello()));
        clock.mockRestore();
        expect(asked()).toHaveLength(1); // the others did not wait with it
        const past = Date.now() - 3_600_000; // a clock that is set back does not prolong the outage
        const systemClock = jest.spyOn(Date, "now").mockReturnValue(past);
        proxy.resume();
        await until(
          async () => (await hello()).headers["x-ratelimit-limit"] === "3",
        ).finally(() => systemClock.mockRestore());
      } finally {
        api.redis.clients.client = own;
        client.disconnect();
        await proxy.stop();
      }
    });
  });
});

describeOnEachEngine("rate limits as middleware", (engine) => {
  let app: WebApp;

  beforeAll(async () => {
    app = await start(null);
    const limits = [
      rateLimit({ name: "signIn", requests: 2, perMs: 60_000 }),
      rateLimit({ name: "perUser", requests: 1, perMs: 60_000, by: "user" }),
      rateLimit({
        name: "perTenant",
        requests: 1,
        perMs: 60_000,
        by: async ({ params }) => params.action === "tenant" && params.key,
      }),
      rateLimit({ name: "brief", requests: 2, perMs: 600 }),
    ];
    for (const limit of limits) action.addMiddleware(limit);
    action.addMiddleware({
      name: "user",
      global: false,
      preProcessor: ({ session, connection }: any) => {
        const id = connection.rawConnection.req?.headers["x-user"];
        if (id) session.user = { id };
      },
    });
    const run = () => ({ hello: "world" });
    addActions({
      signIn: { middleware: ["signIn"], run },
      signUp: { middleware: ["signIn"], run },
      both: { middleware: ["signIn", "perUser"], run },
      mine: { middleware: ["user", "perUser"], run },
      tenant: { middleware: ["perTenant"], inputs: { key: {} }, run },
      brief: { middleware: ["brief"], run },
    });
  });
  beforeEach(() => engine.flush());
  afterAll(() => app.stop());

  const get = (path: string, headers?: Record<string, string>) =>
    app.ask(`/api/${path}`, { headers });

  test("the actions that name it count together, on all transports, and others do not count", async () => {
    const { port } = api.servers.servers.socket.server.address();
    const peer = await SocketPeer.connect(port);
    await peer.next();
    const client = await connectWebsocket();
    expect((await client.action("signIn")).hello).toBe("world");
    expect((await peer.ask("signUp")).hello).toBe("world");
    const refused = [
      (await get("signIn")).json,
      await client.action("signUp"),
      await peer.ask("signIn"),
    ];
    for (const { error } of refused)
      expect(error).toBe("too many requests (limit 2 per 60000 ms)");
    expect((await get("hello")).status).toBe(200);
    await action.run("signIn"); // what the server runs itself does not count
    client.close();
    await Promise.all([peer.close(), client.closed]);
  });

  test("responses have the fields of every limit, and Retry-After over the limit", async () => {
    const first = await get("both");
    expect(first.headers).toMatchObject({
      "ratelimit-policy": '"signIn";q=2;w=60, "perUser";q=1;w=60',
      ratelimit: expect.stringMatching(
        /^"signIn";r=1;t=(59|60), "perUser";r=0;t=(59|60)$/,
      ),
    });
    expect(first.headers).not.toHaveProperty("x-ratelimit-limit");
    const { status, headers } = await get("both");
    expect(status).toBe(429);
    expect(headers.ratelimit).toMatch(/"perUser";r=0/);
    expect(Number(headers["retry-after"])).toBeGreaterThan(50);
  });

  test("users are distinguished by id, and clients without a user by address", async () => {
    const statuses = [];
    for (const headers of [
      { "x-user": "ann" },
      { "x-user": "bob" },
      { "x-user": "ann" },
      {},
      {},
    ])
      statuses.push((await get("mine", headers as never)).status);
    expect(statuses).toEqual([200, 200, 429, 200, 429]);
  });

  test("a function may identify callers, by strings of any length", async () => {
    const statuses = [];
    for (const key of ["a", "b", "a", "x".repeat(5000), "x".repeat(5000)])
      statuses.push((await get(`tenant?key=${key}`)).status);
    expect(statuses).toEqual([200, 200, 429, 200, 429]);
    for (const key of await engine.client().keys("actionhero:rateLimit:*"))
      expect(key.length).toBeLessThan(80);
  });

  test("the window slides: refused calls do not count, and room comes back when calls leave the window", async () => {
    expect((await get("brief")).status).toBe(200);
    await until(async () => (await get("brief")).status === 429);
    await until(async () => (await get("brief")).status === 200);
  });

  test("a window of another length, after a change of the setting, does not refuse clients for longer", async () => {
    const key = "actionhero:rateLimit:signIn:127.0.0.1";
    const future = String(Math.floor(Date.now() / 10) + 1_000_000);
    await engine.client().hset(key, future, "50");
    expect((await get("signIn")).status).toBe(200);
    expect(await engine.client().hexists(key, future)).toBe(0);
    expect(await engine.client().pttl(key)).toBeGreaterThan(0);
  });

  test("while redis is unavailable, an open limit allows all clients, and a closed one refuses all", async () => {
    for (const [name, onOutage] of [
      ["openLimit", "open"],
      ["closedLimit", "closed"],
    ] as const) {
      action.addMiddleware(
        rateLimit({ name, requests: 5, perMs: 60_000, onOutage }),
      );
      addActions({ [name]: { middleware: [name], run: () => ({}) } });
    }
    const own = api.redis.clients.client;
    const lost = () => Promise.reject(new Error("Connection is closed."));
    api.redis.clients.client = Object.assign(new EventEmitter(), {
      evalsha: lost,
      eval: lost,
      hgetall: lost,
      options: {},
      status: "ready",
    }) as never;
    const answers = [await get("openLimit"), await get("closedLimit")];
    api.redis.clients.client = own;
    expect(answers.map(({ status }) => status)).toEqual([200, 503]);
    expect(answers[1].headers["retry-after"]).toBe("1");
    expect(answers[1].json.error).toBe(
      "the server is temporarily unavailable, try again later",
    );
  });

  test.each<any>([
    { name: "a b", requests: 1, perMs: 1 },
    { name: "", requests: 1, perMs: 1 },
    { name: "rateLimit", requests: 1, perMs: 1 },
    { name: "a", requests: 0, perMs: 1 },
    { name: "a", requests: 1, perMs: 0.5 },
    { name: "a", requests: 1, perMs: 1, onOutage: "half" },
  ])("%j is no limit", (options) => {
    expect(() => rateLimit(options)).toThrow(
      expect.objectContaining({ code: "AH_CONFIG" }),
    );
  });
});

describe("without a limit", () => {
  test("without a limit, nothing is counted", async () => {
    const app = await start(null);
    const { headers, json } = await app.ask("/api/hello");
    expect(headers["x-ratelimit-limit"]).toBeUndefined();
    expect(json.requesterInformation).not.toHaveProperty("RequestsRemaining");
    expect(api.actions.globalMiddleware).toEqual([]);
    await app.stop();
  });

  test.each([
    [{ requests: 0, perMs: 1000 }],
    [{ requests: 5 }],
    [{ requests: 5, perMs: 1000, proxies: -1 }],
    [{ requests: 5, perMs: 1000, by: "name" }],
  ])("a limit that makes no sense ends the boot: %j", (rateLimit) => {
    Object.assign(config.general, { rateLimit });
    expect(addRateLimit).toThrow(/general\.rateLimit/);
  });
});
