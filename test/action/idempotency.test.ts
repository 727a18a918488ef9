/** `idempotent` actions over each transport: what a call with a known key gets. */
import { EventEmitter, once } from "node:events";
import { Redis } from "ioredis";
import { describeOnEachEngine } from "../support/engines";
import { LogLines } from "../support/logLines";
import { useRedisVariables } from "../support/redisConfig";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import {
  closeAll,
  SocketPeer,
  socketPort,
  startSocketApp,
} from "../support/socketApp";
import { until } from "../support/until";
import { addActions, ask } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import {
  claim,
  Claim,
  closeClaims,
  type KnownCall,
  type LongResponse,
  waitingResponses,
} from "../../src/action/idempotency";
import { action, api, config, file, type Process } from "../../src/index";

describeOnEachEngine("idempotent actions", (engine) => {
  let app: Process;
  let runs = 0;
  const gates = new EventEmitter();

  beforeAll(async () => {
    app = await startSocketApp();
    addActions({
      pay: {
        idempotent: true,
        inputs: { amount: {}, item: {}, how: {} },
        middleware: ["signsIn"],
        run: async ({ params, response, connection }: any) => {
          const run = ++runs;
          response.set = "by hand";
          if (params.how === "slowly") await once(gates, "goOn");
          if (params.how === "badly") throw new Error("the card is broken");
          if (params.how === "error") return { error: "not today" };
          if (params.how === "large")
            return { run, text: "x".repeat(1024 * 1024) };
          if (params.how === "long") return { run, text: "x".repeat(100_000) };
          if (params.how === "headers") {
            connection.setStatusCode(201);
            connection.setHeader("X-Receipt", `r${run}`);
            connection.rawConnection.responseHeaders.push([
              "X-Pair",
              `p${run}`,
            ]);
            await connection.setCookie("paid", "1");
          }
          return { run, amount: params.amount };
        },
      },
      payShortly: {
        idempotent: { ttl: 200, maxSize: 100 },
        middleware: ["signsIn"],
        inputs: { size: {} },
        run: ({ params }: any) => ({
          run: ++runs,
          text: "x".repeat(Number(params.size ?? 0)),
        }),
      },
      payInTime: {
        idempotent: true,
        timeout: 150,
        middleware: ["signsIn"],
        run: async () => {
          const run = ++runs;
          await once(gates, "goOn");
          return { run };
        },
      },
      payBy: {
        idempotent: true,
        middleware: ["signsIn"],
        inputs: { receipt: file() },
        run: () => ({ run: ++runs }),
      },
      payPerhaps: { middleware: ["signsIn"], run: () => ({ run: ++runs }) },
    });
    action.addMiddleware({
      name: "signsIn",
      global: false,
      preProcessor: ({ session, connection }: any) => {
        const user = connection.rawConnection.req?.headers["x-user"];
        if (user) session.user = { id: user };
      },
    });
  });
  beforeEach(async () => {
    runs = 0;
    await engine.flush();
  });
  afterEach(() => {
    gates.emit("goOn");
  });
  afterAll(async () => {
    await closeAll();
    await app.stop();
  });

  function pay(
    params: object,
    { key = "k1", user = "ann", action: name = "pay", headers = {} }: any = {},
  ) {
    return ask(webPort(), `/api/${name}`, {
      method: "POST",
      body: JSON.stringify(params),
      headers: {
        "content-type": "application/json",
        ...(key ? { "idempotency-key": key } : {}),
        ...(user ? { "x-user": user } : {}),
        ...headers,
      },
    });
  }

  test("a call with the same key gets the same response, and runs nothing", async () => {
    const first = await pay({ amount: 5, item: { a: 1, b: 2 } });
    const again = await pay({ item: { b: 2, a: 1 }, amount: 5 });
    for (const { status, json } of [first, again]) {
      expect(status).toBe(200);
      expect(json).toMatchObject({ run: 1, amount: 5, set: "by hand" });
    }
    expect(first.headers["idempotency-replayed"]).toBeUndefined();
    expect(again.headers["idempotency-replayed"]).toBe("true");
    expect(runs).toBe(1);
  });

  test("calls with another key, user or action, or without a key, run separately", async () => {
    await pay({ amount: 5 });
    expect((await pay({ amount: 5 }, { key: "k2" })).json.run).toBe(2);
    expect((await pay({ amount: 5 }, { user: "bob" })).json.run).toBe(3);
    const other = await pay({}, { action: "payShortly" });
    expect(other.json.run).toBe(4);
    expect((await pay({ amount: 5 }, { key: "" })).json.run).toBe(5);
    expect((await pay({ amount: 5 }, { key: "" })).json.run).toBe(6);
    expect((await pay({}, { action: "payPerhaps" })).json.run).toBe(7);
    expect((await pay({}, { action: "payPerhaps" })).json.run).toBe(8);
  });

  test("other params with the same key are refused with 422", async () => {
    await pay({ amount: 5 });
    const { status, json } = await pay({ amount: 6 });
    expect([status, json.error]).toEqual([
      422,
      "this idempotency key belongs to other params",
    ]);
    expect(runs).toBe(1);
  });

  test("files are compared by their contents", async () => {
    const payWith = async (text: string) => {
      const body = new FormData();
      body.append("receipt", new Blob([text]), "receipt.txt");
      const response = await fetch(`http://localhost:${webPort()}/api/payBy`, {
        method: "POST",
        body,
        headers: { "idempotency-key": "k1", "x-user": "ann" },
      });
      const { run } = (await response.json()) as { run?: number };
      return [response.status, run];
    };
    expect(await payWith("ten")).toEqual([200, 1]);
    expect(await payWith("ten")).toEqual([200, 1]);
    expect((await payWith("two"))[0]).toBe(422);
  });

  test("calls at the same time wait for the first, and get its response", async () => {
    const calls = [1, 2, 3].map(() => pay({ how: "slowly" }));
    await until(() => runs === 1);
    gates.emit("goOn");
    const answers = await Promise.all(calls);
    expect(answers.map(({ json }) => json.run)).toEqual([1, 1, 1]);
  });

  test("the response of a call whose record was lost is stored again", async () => {
    const first = pay({ how: "slowly" });
    await until(() => runs === 1);
    const [key] = await engine.client().keys("actionhero:idempotency:*");
    await engine.client().del(key);
    gates.emit("goOn");
    await first;
    const again = await pay({ how: "slowly" });
    expect(again.headers["idempotency-replayed"]).toBe("true");
    expect(runs).toBe(1);
  });

  test.each(["badly", "error"])(
    "a call that fails (%s) is not kept: the next one runs",
    async (how) => {
      expect((await pay({ how })).json.error).toBeDefined();
      expect((await pay({ how })).json.error).toBeDefined();
      expect(runs).toBe(2);
    },
  );

  test("a waiting call runs when the first one fails", async () => {
    const [first, second] = [1, 2].map(() => pay({ how: "slowly" }));
    await until(() => runs === 1);
    await engine
      .client()
      .keys("actionhero:idempotency:*")
      .then(([key]) => engine.client().del(key)); // as if its process had died
    await until(() => runs === 2);
    gates.emit("goOn");
    const answers = await Promise.all([first, second]);
    expect(answers.map(({ json }) => json.run).sort()).toEqual([1, 2]);
  });

  test("the status and headers are those of the first response, and its cookies are not", async () => {
    const [first, again] = [
      await pay({ how: "headers" }),
      await pay({ how: "headers" }),
    ];
    for (const { status, headers } of [first, again]) {
      expect(status).toBe(201);
      expect(headers).toMatchObject({ "x-receipt": "r1", "x-pair": "p1" });
    }
    expect(String(first.headers["set-cookie"])).toContain("paid=1");
    expect(String(again.headers["set-cookie"])).not.toContain("paid=1");
    const [key] = await engine.client().keys("actionhero:idempotency:*");
    const kept = await engine.client().hgetall(key);
    expect(JSON.stringify(kept)).not.toContain("paid");
  });

  test("a response that is too large is not kept", async () => {
    expect((await pay({ how: "large" })).json.run).toBe(1);
    expect((await pay({ how: "large" })).json.run).toBe(2);
    const small = () => pay({ size: 200 }, { action: "payShortly" });
    expect((await small()).json.run).toBe(3);
    expect((await small()).json.run).toBe(4);
  });

  test("long responses that are asked for at once are read from redis one after the other", async () => {
    const call = (key: string) => pay({ how: "long" }, { key });
    const keys = ["l1", "l2", "l3"];
    for (const key of keys) await call(key);
    let reading = 0;
    let most = 0;
    const { client } = api.redis.clients;
    const hget = client.hget.bind(client);
    const spy = jest.spyOn(client, "hget").mockImplementation((async (
      key: string,
      field: string,
    ) => {
      if (field !== "response") return hget(key, field);
      most = Math.max(most, ++reading);
      try {
        return await hget(key, field);
      } finally {
        reading--;
      }
    }) as never);
    const again = await Promise.all(
      Array.from({ length: 30 }, (_, i) => call(keys[i % 3])),
    );
    spy.mockRestore();
    expect(new Set(again.map(({ json }) => json.run))).toEqual(
      new Set([1, 2, 3]),
    );
    expect(again.every(({ json }) => json.text.length === 100_000)).toBe(true);
    if (engine.embedded) return;
    expect(most).toBe(1);
    // who asks for the same one shares the read
    const made = (await claim("shared", "d")) as Claim;
    await made.keep("x".repeat(100_000), 60_000);
    const known = await Promise.all([1, 2].map(() => claim("shared", "d")));
    const [one, other] = (known as KnownCall[]).map(({ response }) =>
      (response as LongResponse)(),
    );
    expect(one).toBe(other);
    expect(await one).toHaveLength(100_000);
  });

  test("a response is kept for its time", async () => {
    const call = () => pay({}, { action: "payShortly" });
    expect((await call()).json.run).toBe(1);
    await until(async () => (await call()).json.run === 2);
  });

  test("a call that went on after its timeout is kept, and the next one gets its response", async () => {
    const call = () => pay({}, { action: "payInTime" });
    const late = await call();
    expect([late.status, late.json.code]).toEqual([503, "AH_ACTION_TIMEOUT"]);
    await until(async () => {
      gates.emit("goOn");
      const { json } = await call();
      return json.run === 1;
    });
    expect(runs).toBe(1);
  });

  test.each([["é"], ["a b"], ["x".repeat(256)]])(
    "the key %p cannot be used",
    async (key) => {
      const client = await connectWebsocket();
      const reply = await client.action("pay", { idempotencyKey: key });
      expect(reply.error).toMatch(/visible ASCII/);
      client.close();
      expect(runs).toBe(0);
    },
  );

  test("over HTTP, an unidentified caller gets 400, and a token identifies its caller", async () => {
    const { status, json } = await pay({}, { user: "" });
    expect([status, json.error]).toEqual([
      400,
      "an idempotency key needs a caller that the server knows",
    ]);
    const as = (authorization: string) =>
      pay({}, { user: "", headers: { authorization } });
    expect((await as("Bearer a")).json.run).toBe(1);
    expect((await as("Bearer a")).json.run).toBe(1);
    expect((await as("Bearer b")).json.run).toBe(2);
  });

  test("a signed fingerprint identifies a caller, and an unsigned one does not", async () => {
    const options = config.web.fingerprintOptions as { signed?: boolean };
    options.signed = true;
    const first = await pay({}, { user: "" });
    const [cookie] = String(first.headers["set-cookie"]).split(";");
    const again = await pay({}, { user: "", headers: { cookie } });
    expect(again.json.run).toBe(1);
    const other = await pay({}, { user: "" });
    expect(other.json.run).toBe(2);
    options.signed = false;
  });

  test("over a websocket and TCP the key is a param", async () => {
    const client = await connectWebsocket({ headers: { authorization: "t" } });
    const params = { amount: 1, idempotencyKey: "w1" };
    expect((await client.action("pay", params)).run).toBe(1);
    expect((await client.action("pay", params)).run).toBe(1);
    client.close();

    const peer = await SocketPeer.connect(socketPort());
    await peer.next();
    const line = JSON.stringify({ action: "pay", params });
    expect((await peer.ask(line)).run).toBe(2);
    expect((await peer.ask(line)).run).toBe(2);
  });

  test("a repeat over TCP has a message id of its own, and may have other tokens", async () => {
    const peer = await SocketPeer.connect(socketPort());
    await peer.next();
    const ask = async (own: object) => {
      const params = { amount: 1, idempotencyKey: "w2", ...own };
      return (await peer.ask(JSON.stringify({ action: "pay", params }))).run;
    };
    const run = await ask({ messageId: "t1" });
    expect(run).toEqual(expect.any(Number));
    expect(await ask({ messageId: "t2" })).toBe(run);
    expect(await ask({ messageId: "t3", accessToken: "renewed" })).toBe(run);
  });

  test("in-line actions always run", async () => {
    for (const run of [1, 2])
      expect(
        await action.run("pay", undefined, { idempotencyKey: "i" }),
      ).toMatchObject({ run });
  });
});

describeOnRedis("idempotent actions while redis is away", () => {
  const server = new RedisServer();
  const gates = new EventEmitter();
  let logged: LogLines;
  let client: Redis;
  let app: Process;
  let runs = 0;
  let fails = false;

  beforeAll(async () => {
    logged = new LogLines();
    await server.start();
    client = new Redis({ port: server.port });
    useRedisVariables({ REDIS_URL: `${server.url}/0` });
    config.redis.operationTimeout = 500;
    app = await startSocketApp();
    addActions({
      pay: {
        idempotent: true,
        run: async () => {
          const run = ++runs;
          await once(gates, "goOn");
          if (fails) throw new Error("not today");
          return { run };
        },
      },
    });
  });
  beforeEach(async () => {
    runs = 0;
    logged.lines.length = 0;
    await client.flushall();
  });
  afterAll(async () => {
    await app.stop();
    client.disconnect();
    await server.stop();
    logged.stop();
    useRedisVariables({});
  });

  function pay(key: string) {
    return ask(webPort(), "/api/pay", {
      headers: { "idempotency-key": key, authorization: "Bearer ann" },
    });
  }

  /** A call that ends while redis stands still. @returns its response */
  async function payDuringOutage(key: string) {
    const call = pay(key);
    await until(() => runs === 1);
    server.pause();
    gates.emit("goOn");
    const answer = await call;
    expect(logged.at("warning", /not stored yet/)).not.toEqual([]);
    return answer;
  }

  async function comeBack(): Promise<void> {
    server.resume();
    // until then commands are refused
    await until(() =>
      api.redis.clients.client.ping().then(Boolean, () => false),
    );
  }

  test("a call that ends meanwhile is stored afterwards, and its repetition runs nothing", async () => {
    expect((await payDuringOutage("k1")).json.run).toBe(1);
    await comeBack();
    const again = await pay("k1");
    expect(again.headers["idempotency-replayed"]).toBe("true");
    expect([again.json.run, runs]).toEqual([1, 1]);
  });

  test("a call that ends while redis is a replica is stored afterwards", async () => {
    const call = pay("k5");
    await until(() => runs === 1);
    await client.replicaof("127.0.0.1", "1");
    gates.emit("goOn");
    expect((await call).json.run).toBe(1);
    const refusals = async () => {
      const { json } = await pay("k6");
      expect(json.error).toBeDefined();
      return logged.at("debug", /READONLY/).length > 0;
    };
    await until(refusals);
    await client.replicaof("NO", "ONE");
    await until(() => logged.at("notice", /^redis is back/).length > 0);
    const again = await pay("k5");
    expect(again.headers["idempotency-replayed"]).toBe("true");
    expect([again.json.run, runs]).toEqual([1, 1]);
  });

  test("the key of a call that fails meanwhile is free afterwards", async () => {
    fails = true;
    expect((await payDuringOutage("k2")).json.error).toBeDefined();
    fails = false;
    await comeBack();
    const again = pay("k2");
    await until(() => runs === 2);
    gates.emit("goOn");
    expect((await again).json.run).toBe(2);
  });

  test("a response for which memory has no room is dropped: its call does not run again, and repeated calls are told", async () => {
    waitingResponses.maxBytes = 1_000;
    const large = (await claim("large", "d")) as Claim;
    const call = pay("k3");
    await until(() => runs === 1);
    server.pause();
    await expect(large.keep("x".repeat(1_000), 60_000)).rejects.toThrow();
    gates.emit("goOn");
    expect((await call).json.run).toBe(1);
    expect(logged.at("error", /too many wait for redis/)).toHaveLength(1);
    await comeBack();
    // there is room again
    await until(() => waitingResponses.bytes === 0);
    waitingResponses.maxBytes = 64 * 1024 * 1024;
    expect((await claim("large", "d")) as KnownCall).toMatchObject({
      response: "x".repeat(1_000),
    });
    const again = await pay("k3");
    expect([again.status, runs]).toEqual([410, 1]);
    expect(again.json.error).toMatch(/has succeeded/);
  });

  test("of many calls that end at once, the responses are made a few at a time, and all are stored", async () => {
    const { maxAtOnce } = waitingResponses;
    waitingResponses.maxAtOnce = 100;
    const keep = Object.getOwnPropertyDescriptor(Claim.prototype, "keep")!
      .value as (this: Claim, text: string, ms: number) => Promise<void>;
    let most = 0;
    const spy = jest
      .spyOn(Claim.prototype, "keep")
      .mockImplementation(function (this: Claim, text, ttl) {
        const kept = keep.call(this, text, ttl);
        most = Math.max(most, waitingResponses.bytes);
        return kept;
      });
    try {
      const keys = Array.from({ length: 9 }, (_, at) => `many${at}`);
      const calls = keys.map((key) => pay(key));
      await until(() => runs === keys.length);
      gates.emit("goOn");
      const replies = await Promise.all(calls);
      expect(replies.map(({ status }) => status)).toEqual(keys.map(() => 200));
      expect(spy).toHaveBeenCalledTimes(keys.length);
      const sizes = spy.mock.calls.map(([text]) => Buffer.byteLength(text));
      // the limit, and the response that exceeds it; all together are far more
      expect(most).toBeLessThan(100 + Math.max(...sizes));
      expect(most).toBeGreaterThan(0);
      await until(() => waitingResponses.bytes === 0);
      const again = await Promise.all(keys.map((key) => pay(key)));
      expect(again.map(({ json }) => json.run)).toEqual(
        replies.map(({ json }) => json.run),
      );
    } finally {
      spy.mockRestore();
      waitingResponses.maxAtOnce = maxAtOnce;
    }
  });

  test("a stop stores what redis did not get before", async () => {
    const held = (await claim("stop", "d")) as Claim;
    server.pause();
    await expect(held.keep("done", 60_000)).rejects.toThrow();
    await comeBack();
    await closeClaims();
    expect(await claim("stop", "d")).toMatchObject({ response: "done" });
  });

  describe("a claim that is not renewed", () => {
    const key = "actionhero:idempotency:silent";
    let held: Claim;

    beforeEach(async () => {
      held = (await claim("silent", "d")) as Claim;
    });
    afterEach(() => held.drop());

    test("is taken over when others have seen it silent for 15 s, and its response is not stored then", async () => {
      await client.hset(key, { silence: "15000", lookedAt: "1" });
      const other = (await claim("silent", "d")) as Claim;
      expect(other).toBeInstanceOf(Claim);
      await held.keep("late", 60_000);
      expect(logged.at("error", /claimed again meanwhile/)).toHaveLength(1);
      expect(await claim("silent", "d")).toMatchObject({ response: undefined });
      await other.drop();
    });

    test("is not taken over because nobody could look at it", async () => {
      await claim("silent", "d");
      await client.hset(key, { lookedAt: "1" }); // an outage of years
      expect(await claim("silent", "d")).not.toBeInstanceOf(Claim);
      const silence = Number(await client.hget(key, "silence"));
      expect(silence).toBeGreaterThan(1_000);
      expect(silence).toBeLessThan(3_000);
    });

    test("is not taken over by other params", async () => {
      await client.hset(key, { silence: "15000", lookedAt: "1" });
      expect(await claim("silent", "e")).toMatchObject({ digest: "d" });
    });

    test("loses its silence by a renewal", async () => {
      await client.hset(key, { silence: "14000", lookedAt: "1" });
      await until(async () => !(await client.hexists(key, "silence")));
      expect(await client.hget(key, "digest")).toBe("d");
    });
  });
});
