/** Outages of redis: nothing hangs, one line tells of each, and everything works again afterwards. */
process.env.LOG_LEVEL = "emerg"; // what is logged is looked at, not shown

import { Redis } from "ioredis";
import { api } from "../../src/api";
import { config } from "../../src/config/config";
import { connectRedis, leaveCluster } from "../../src/redis/lifecycle";
import { redis } from "../../src/redis/redis";
import { FlakyProxy } from "../support/flakyProxy";
import { LogLines } from "../support/logLines";
import { useRedisVariables } from "../support/redisConfig";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { until } from "../support/until";

const open = api as unknown as Record<string, any>;
const saved = { ...process.env };
const server = new RedisServer();
let logs: LogLines;
/** In front of the server, for the tests that use it. */
let proxy: FlakyProxy | undefined;

describeOnRedis("outages of redis", () => {
  beforeAll(async () => {
    logs = new LogLines();
    jest.spyOn(console, "error").mockImplementation(() => undefined); // v29's line of the retry strategy
    await server.start();
  });

  beforeEach(() => {
    logs.lines.length = 0;
    useRedisVariables({ REDIS_URL: server.url });
    open.echo = (text: string) => text;
  });

  afterEach(async () => {
    delete open.echo;
    await leaveCluster();
    await proxy?.stop();
    proxy = undefined;
  });

  afterAll(async () => {
    await server.stop();
    logs.stop();
    process.env = saved;
  });

  const call = (text = "x") =>
    redis.doCluster("api.echo", [text], undefined, true);

  /** Commands and calls, some dozens at a time, without a pause. */
  class Load {
    done = 0;
    failed = 0;
    /** ms that the slowest operation took. */
    longest = 0;
    private running = true;
    private readonly workers: Promise<void>[];

    constructor() {
      const { client, tasks } = api.redis.clients;
      const operations = [
        () => client.set("load", "1"),
        () => client.get("load"),
        () => tasks.incr("load:count"),
        () => call(),
      ];
      this.workers = Array.from({ length: 40 }, (_, i) =>
        this.work(operations[i % operations.length]),
      );
    }

    /** Resolves when all operations have ended. */
    async stop(): Promise<void> {
      this.running = false;
      await Promise.all(this.workers);
    }

    private async work(operation: () => Promise<unknown>): Promise<void> {
      while (this.running) {
        const begun = performance.now();
        try {
          await operation();
          this.done++;
        } catch {
          this.failed++;
          await new Promise(setImmediate);
        }
        this.longest = Math.max(this.longest, performance.now() - begun);
      }
    }
  }

  /** Wait until so many more operations have succeeded. */
  async function untilMore(load: Load, count = 200): Promise<void> {
    const { done } = load;
    await until(() => load.done > done + count, 20_000);
  }

  test("redis is killed and started again under load", async () => {
    config.redis.operationTimeout = 3_000;
    config.general.rpcTimeout = 3_000;
    await connectRedis();
    logs.lines.length = 0;
    const load = new Load();
    await untilMore(load);

    await server.kill();
    await until(() => logs.at("alert", /./).length > 0);
    await until(() => load.failed > 0); // calls that were on their way are lost, and their callers hear of it
    await server.restart();

    await untilMore(load);
    await expect(call("again")).resolves.toBe("again");
    await load.stop();
    expect(load.longest).toBeLessThan(10_000);
    expect(logs.at("alert", /./)).toHaveLength(1);
    expect(logs.at("notice", /^redis is back after \d+ ms$/)).toHaveLength(1);
    expect(Object.keys(api.redis.rpcCallbacks)).toEqual([]);
  });

  test("redis stands still for five seconds", async () => {
    config.general.rpcTimeout = 15_000;
    await connectRedis();
    logs.lines.length = 0;
    const load = new Load();
    await untilMore(load);
    const { failed } = load;

    server.pause();
    const until5s = performance.now() + 5_000;
    await until(() => performance.now() > until5s);
    server.resume();

    await untilMore(load);
    await load.stop();
    expect(load.failed).toBe(failed); // what waited was done
    expect(load.longest).toBeGreaterThan(4_500);
    expect(logs.at("alert", /./)).toEqual([]);
  });

  test("redis stands still for longer than an operation may take", async () => {
    config.redis.operationTimeout = 500;
    config.general.rpcTimeout = 500;
    await connectRedis();
    const load = new Load();
    await untilMore(load);
    server.pause();
    await until(() => load.failed > 80); // each of the forty at least twice
    server.resume();
    await untilMore(load);
    await load.stop();
    expect(load.longest).toBeLessThan(5_000);
  });

  test.each([
    ["READONLY", "yes"],
    ["MASTERDOWN", "no"],
  ])(
    "a server that stays a replica (%s) refuses writes at once after operationTimeout, on each connection, and its end is noticed",
    async (reason, staleData) => {
      config.redis.operationTimeout = 500;
      await connectRedis();
      const { client, tasks } = api.redis.clients;
      await client.set("known", "1");
      logs.lines.length = 0;
      const admin = new Redis(server.port, "127.0.0.1");
      // a plain write is READONLY on both
      const write = (one: Redis) =>
        one.eval("return redis.call('SET', KEYS[1], 1)", 1, "a");
      const failureOf = (write: Promise<unknown>) =>
        write.then(
          () => undefined,
          (error: Error) => error,
        );
      try {
        await admin.config("SET", "replica-serve-stale-data", staleData);
        await admin.replicaof("127.0.0.1", "1");
        const isRefused = async () =>
          (await failureOf(write(client)))?.message.startsWith(reason);
        await until(isRefused);
        let reopened = 0;
        for (const one of [client, tasks]) one.on("close", () => reopened++);
        for (let i = 0; i < 200; i++)
          for (const one of [tasks, client]) {
            const error = await failureOf(write(one));
            expect(error).toMatchObject({ code: "AH_REDIS_TIMEOUT" });
            expect(error!.message.startsWith(reason)).toBe(true);
          }
        if (staleData === "yes") expect(await client.get("known")).toBe("1");
        expect(logs.at("alert", /./)).toHaveLength(1);
        // only the probe looks for another server
        await until(() => reopened > 0);
        expect(logs.at("notice", /^redis is back/)).toEqual([]);
        await admin.replicaof("NO", "ONE");
        await until(() => logs.at("notice", /^redis is back/).length === 1);
        await client.set("a", "2");
        await tasks.set("a", "3");
      } finally {
        await admin.config("SET", "replica-serve-stale-data", "yes");
        await admin.replicaof("NO", "ONE");
        admin.disconnect();
      }
      expect(logs.at("alert", /./)).toHaveLength(1);
    },
  );

  test("a call is given up after rpcTimeout, while redis still keeps what it was sent", async () => {
    config.general.rpcTimeout = 300;
    await connectRedis();
    server.pause();
    const ended: string[] = [];
    const { client } = api.redis.clients;
    const operation = client.get("x").then(() => ended.push("operation"));
    const unhandled: unknown[] = [];
    const onUnhandled = (error: unknown) => unhandled.push(error);
    process.on("unhandledRejection", onUnhandled);
    await expect(call()).rejects.toThrow("RPC Timeout");
    ended.push("call");
    server.resume();
    await operation;
    process.off("unhandledRejection", onUnhandled);
    expect(ended).toEqual(["call", "operation"]);
    expect(unhandled).toEqual([]);
  });

  test("the connection for tasks is open but dead: that is noticed, too", async () => {
    const proxied = (proxy = await new FlakyProxy(server.port).start());
    config.redis.tasks = {
      konstructor: Redis as never,
      args: [{ port: proxied.port, host: "127.0.0.1" }] as never,
      buildNew: true,
    };
    config.redis.operationTimeout = 1_000;
    await connectRedis();
    proxied.stall();
    await until(() => logs.at("alert", /`tasks` has not responded/).length > 0);
    proxied.resume();
    await until(() => proxied.accepted > 1);
    const { tasks } = api.redis.clients;
    await until(() => tasks.status === "ready"); // until then it refuses commands
    await tasks.set("alive", "1");
  });

  describe("the subscriber's connection", () => {
    let proxied: FlakyProxy;

    beforeEach(async () => {
      proxied = proxy = await new FlakyProxy(server.port).start();
      config.redis.subscriber = {
        konstructor: Redis as never,
        args: [{ port: proxied.port, host: "127.0.0.1" }] as never,
        buildNew: true,
      };
      config.redis.operationTimeout = 1_000;
      config.general.rpcTimeout = 1_000;
      await connectRedis();
      await api.redis.clients.subscriber.subscribe("of a user");
      logs.lines.length = 0;
    });

    test("is cut: it is opened again with all its subscriptions, and the log says so once", async () => {
      proxied.cut();
      await until(() => proxied.accepted === 2);
      await until(() => call().then(Boolean, () => false));
      const heard = new Promise((resolve) =>
        api.redis.clients.subscriber.on("message", (channel, text) => {
          if (channel === "of a user") resolve(text);
        }),
      );
      await api.redis.clients.client.publish("of a user", "hello");
      expect(await heard).toBe("hello");
      expect(logs.at("alert", /^Redis connection `subscriber`/)).toHaveLength(
        1,
      );
      expect(logs.at("notice", /^redis is back after/)).toHaveLength(1);
    });

    test("is cut before its subscriptions are confirmed: they are renewed when redis is back, even after ioredis gave them up", async () => {
      const { subscriber, client } = api.redis.clients;
      let givenUp = 0;
      const send = subscriber.sendCommand.bind(subscriber);
      subscriber.sendCommand = (command, stream) => {
        const { reject } = command;
        command.reject = (error) => {
          if (command.name === "subscribe") givenUp++;
          reject.call(command, error);
        };
        return send(command, stream);
      };
      subscriber.once("ready", () => proxied.stall());
      proxied.cut();
      await until(() => givenUp > 0);
      await proxied.refuse();
      proxied.resume();
      await proxied.accept();
      await until(() => call().then(Boolean, () => false));
      const heard: unknown[] = [];
      subscriber.on("message", (channel, text) => {
        if (channel === "of a user") heard.push(text);
      });
      await until(async () => {
        await client.publish("of a user", "hello");
        return heard.includes("hello");
      });
    });

    test("reconnecting again and again leaks nothing", async () => {
      const { subscriber } = api.redis.clients;
      for (let round = 2; round < 8; round++) {
        proxied.cut();
        await until(() => proxied.accepted === round);
        await until(() => subscriber.status === "ready");
      }
      await until(() => call().then(Boolean, () => false));
      expect(subscriber.listenerCount("message")).toBe(1);
      await until(() => proxied.open === 1); // the old ones are closing
    });

    test("cannot be opened for a while: one alert, and one line when it is back", async () => {
      await proxied.refuse();
      await until(() => logs.at("debug", /`subscriber` error/).length > 2);
      await proxied.accept();
      await until(() => call().then(Boolean, () => false));
      expect(logs.at("alert", /^Redis connection `subscriber`/)).toHaveLength(
        1,
      );
      expect(logs.at("notice", /^redis is back after/)).toHaveLength(1);
    });

    test("is away for a moment: a call waits for it, as the answer comes through it", async () => {
      config.general.rpcTimeout = 10_000;
      config.redis.operationTimeout = 10_000;
      await proxied.refuse();
      await until(() => logs.at("debug", /`subscriber` error/).length > 2);
      const published = jest.spyOn(redis, "publish");
      const answer = call("heard");
      await api.redis.clients.client.ping();
      expect(published).not.toHaveBeenCalled();
      await proxied.accept();
      expect(await answer).toBe("heard");
    });

    test("is open but dead, as when a machine lost its power: that is noticed, too", async () => {
      proxied.stall();
      await until(
        () => logs.at("alert", /`subscriber` has not responded/).length > 0,
      );
      proxied.resume();
      await until(() => proxied.accepted > 1);
      await until(() => call().then(Boolean, () => false));
    });
  });
});
