/** Steps on a real redis: each takes effect once, and not after its caller was told that it failed. */
import { once } from "node:events";
import { Redis } from "ioredis";
import {
  popText,
  pushText,
  releaseLock,
  takeLock,
  writeObjects,
} from "../../src/cache/operations";
import { shareTimeouts } from "../../src/redis/commands";
import { publishText } from "../../src/redis/pubsub";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { RedisCluster } from "../support/redisCluster";
import { until } from "../support/until";

/** Every script arrives twice, as after a connection that was lost before the reply came. */
function sendTwice(client: Redis): Redis {
  const send = client.evalsha.bind(client) as (
    ...args: unknown[]
  ) => Promise<unknown>;
  const patched = client as unknown as { evalsha: typeof send };
  patched.evalsha = async (...args) => {
    await send(...args).catch(() => undefined); // it is not known yet
    return send(...args);
  };
  return client;
}

describeOnRedis("steps on redis", () => {
  const server = new RedisServer();
  let redis: Redis;

  beforeAll(async () => {
    await server.start();
    redis = new Redis({ port: server.port });
  });
  beforeEach(() => redis.flushall());
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  describe("a message to subscribers", () => {
    const heard: string[] = [];
    let listener: Redis;

    beforeAll(async () => {
      listener = new Redis({ port: server.port });
      listener.on("message", (_channel, text: string) => heard.push(text));
      await listener.subscribe("news");
    });
    beforeEach(() => {
      heard.length = 0;
    });
    afterAll(() => listener.disconnect());

    test.each([
      ["READONLY", ["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]],
      [
        "NOREPLICAS",
        ["CONFIG", "SET", "min-replicas-to-write", "1"],
        ["CONFIG", "SET", "min-replicas-to-write", "0"],
      ],
    ])(
      "is not delivered when redis answers %s",
      async (code, [refuse, ...how], [accept, ...again]) => {
        await redis.call(refuse, ...how);
        try {
          await expect(publishText(redis, "news", "refused")).rejects.toThrow(
            code,
          );
        } finally {
          await redis.call(accept, ...again);
        }
        await publishText(redis, "news", "sent");
        await until(() => heard.includes("sent"));
        expect(heard).toEqual(["sent"]);
      },
    );

    test("a message to subscribers is delivered once by a redis that is out of memory", async () => {
      await redis.config("SET", "maxmemory", "1");
      try {
        await expect(redis.set("key", "value")).rejects.toThrow("OOM");
        expect(await publishText(redis, "news", "sent")).toBe(1);
      } finally {
        await redis.config("SET", "maxmemory", "0");
      }
      await until(() => heard.length > 0);
      expect(heard).toEqual(["sent"]);
    });
  });

  test("a step that arrives twice takes effect once, and both are answered alike", async () => {
    const client = sendTwice(new Redis({ port: server.port }));
    const listener = new Redis({ port: server.port });
    try {
      const heard: string[] = [];
      listener.on("message", (_channel, text: string) => heard.push(text));
      await listener.subscribe("news", "end");
      const texts = Array.from({ length: 50 }, (_, n) => String(n));
      await pushText(client, "list", "first"); // from now on the script is known
      await Promise.all(texts.map((text) => pushText(client, "list", text)));
      expect((await redis.lrange("list", 0, -1)).sort()).toEqual(
        ["first", ...texts].sort(),
      );
      expect(await popText(client, "list")).toBe("first");
      expect(await popText(client, "list")).toBe("0");
      expect(await redis.llen("list")).toBe(49);
      expect(await popText(client, "none")).toBeNull();
      expect(await takeLock(client, "lock", "me", 60_000)).toBe(true);
      expect(await takeLock(client, "lock", "me", 60_000)).toBe(false);
      expect(await publishText(client, "news", "a")).toBe(1);
      expect(await publishText(client, "nowhere", "b")).toBe(0);
      const ended = once(listener, "message");
      await redis.publish("end", "over");
      while (!heard.includes("over")) await ended;
      expect(heard).toEqual(["a", "over"]);
    } finally {
      client.disconnect();
      listener.disconnect();
    }
  });

  test("a step that was answered with a time-out has no effect later, though it was on its way", async () => {
    const hasty = new Redis({ port: server.port, commandTimeout: 200 });
    shareTimeouts(hasty);
    const listener = new Redis({ port: server.port });
    try {
      const heard: string[] = [];
      listener.on("message", (_channel, text: string) => heard.push(text));
      await listener.subscribe("news");
      await pushText(hasty, "list", "before");
      await publishText(hasty, "news", "before");
      server.pause();
      const write = {
        entry: "object",
        lock: "object:lock",
        text: "late",
        lifetimeMs: 0,
      };
      const late = [
        pushText(hasty, "list", "late"),
        popText(hasty, "list"),
        publishText(hasty, "news", "late"),
        takeLock(hasty, "lock", "me", 60_000),
        writeObjects(hasty, [write], "me"),
      ];
      for (const call of late)
        await expect(call).rejects.toThrow("Command timed out");
      server.resume();
      // a later step goes behind them on the same connection
      await publishText(hasty, "news", "after");
      await releaseLock(hasty, "other", "me");
      expect(await redis.lrange("list", 0, -1)).toEqual(["before"]);
      expect(await redis.exists("lock", "object")).toBe(0);
      while (!heard.includes("after")) await once(listener, "message");
      expect(heard).toEqual(["before", "after"]);
    } finally {
      server.resume();
      hasty.disconnect();
      listener.disconnect();
    }
  });

  test("calls are remembered for a while only", async () => {
    const client = new Redis({ port: server.port, commandTimeout: 5_000 });
    try {
      await pushText(client, "list", "a");
      const [calls] = await redis.keys("actionhero:ah:ops:*");
      expect(await redis.pttl(calls)).toBeGreaterThan(5_000);
      expect(await redis.pttl(calls)).toBeLessThanOrEqual(10_000);
    } finally {
      client.disconnect();
    }
  });
});

describeOnRedis("steps on a Redis Cluster", () => {
  const cluster = new RedisCluster();
  beforeAll(() => cluster.start(), 60_000);
  afterAll(() => cluster.stop());

  test("lists keep each item once, in any slot", async () => {
    const client = cluster.client();
    try {
      await once(client, "ready");
      const twice = sendTwice(client as unknown as Redis);
      for (const key of ["a", "b", "c", "{tag}:d"]) {
        await pushText(twice, key, "1");
        await pushText(twice, key, "2");
        expect(await client.llen(key)).toBe(2);
      }
    } finally {
      client.disconnect();
    }
  });
});
