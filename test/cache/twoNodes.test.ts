/** The cache of two nodes on one redis. */
import { Redis } from "ioredis";
import { describeWithPeers } from "../support/peers";
import { hasRedis, RedisServer } from "../support/redisServer";
import { RemoteNode } from "../support/remoteNode";
import { until } from "../support/until";
import { startV29Node } from "../support/v29Node";
import { leaveOut } from "../support/leftOut";

/** Take and free a lock `wins` times; nobody else may be seen inside. */
async function contend({ cache }: any, wins: number) {
  const redis = cache.client();
  let clashes = 0;
  for (let won = 0; won < wins;) {
    if (!(await cache.lock("contended"))) {
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    if ((await redis.incr("inside")) !== 1) clashes++;
    if ((await redis.decr("inside")) !== 0) clashes++;
    if (!(await cache.unlock("contended"))) clashes++;
    won++;
  }
  return { clashes, wins };
}

async function wrapMany({ cache }: any, callers: number) {
  const produce = async () => {
    await cache.client().incr("produced");
    await new Promise((resolve) => setTimeout(resolve, 50));
    return "value";
  };
  const all = Array.from({ length: callers }, () =>
    cache.wrap("wrapped", { expireTimeMS: 60_000 }, produce),
  );
  return [...new Set(await Promise.all(all))];
}

function holds({ cache }: any): Promise<boolean> {
  return cache.lock("held", 1_000);
}

if (hasRedis) {
  const server = new RedisServer();
  let redis: Redis;

  beforeAll(async () => {
    await server.start();
    redis = new Redis(server.url);
  });

  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  describe("two of ours", () => {
    let first: RemoteNode;
    let second: RemoteNode;

    beforeAll(async () => {
      [first, second] = await Promise.all(
        ["one", "two"].map((title) =>
          RemoteNode.start({ title, redisUrl: server.url }),
        ),
      );
    }, 60_000);

    afterAll(() => Promise.all([first.kill(), second.kill()]));

    test("of 10,000 locks of one key, never are two held at once", async () => {
      const answers = await Promise.all(
        [first, second].map((node) => node.run(contend, 5_000)),
      );
      const expected = { clashes: 0, wins: 5_000 };
      expect(answers).toEqual([expected, expected]);
    }, 120_000);

    test("a thousand misses on both run the producer once", async () => {
      const answers = await Promise.all(
        [first, second].map((node) => node.run(wrapMany, 500)),
      );
      expect(answers).toEqual([["value"], ["value"]]);
      expect(await redis.get("produced")).toBe("1");
    });

    test("the lock of one that dies frees itself", async () => {
      expect(await first.run(holds)).toBe(true);
      expect(await second.run(holds)).toBe(false);
      await first.kill();
      await until(() => second.run(holds));
    });
  });

  describeWithPeers("ours and one of version 29", () => {
    let ours: RemoteNode;
    let v29: RemoteNode;

    beforeAll(async () => {
      const redisUrl = server.url;
      [ours, v29] = await Promise.all([
        RemoteNode.start({ title: "ours", redisUrl }),
        startV29Node({ title: "v29", redisUrl }),
      ]);
    }, 60_000);

    afterAll(() => Promise.all([ours.kill(), v29.kill()]));

    const pairs: [string, () => RemoteNode, () => RemoteNode][] = [
      ["ours writes, theirs reads", () => ours, () => v29],
      ["theirs writes, ours reads", () => v29, () => ours],
    ];

    test.each(pairs)("%s", async (_, writer, reader) => {
      const value = { text: "ü", list: [1, null, { a: true }] };
      await writer().run(
        ({ cache }, saved) => cache.save("shared", saved, 60_000),
        value,
      );
      const loaded: any = await reader().run(({ cache }) =>
        cache.load("shared"),
      );
      expect(loaded).toEqual({
        key: "shared",
        value,
        createdAt: expect.any(Number),
      });
      await writer().run(({ cache }) => cache.push("list", { n: 1 }));
      expect(await reader().run(({ cache }) => cache.pop("list"))).toEqual({
        n: 1,
      });
    });

    test.each(pairs)("%s: a lock keeps the other out", async (_, a, b) => {
      expect(await a().run(({ cache }) => cache.lock("locked"))).toBe(true);
      expect(await b().run(({ cache }) => cache.lock("locked"))).toBe(false);
      await expect(
        b().run(({ cache }) => cache.save("locked", 1)),
      ).rejects.toThrow("Object locked");
      expect(await b().run(({ cache }) => cache.unlock("locked"))).toBe(false);
      expect(await a().run(({ cache }) => cache.unlock("locked"))).toBe(true);
    });

    test("theirs reads what ours wrapped and keeps beyond its time", async () => {
      await ours.run(({ cache }) =>
        cache.wrap(
          "kept",
          { expireTimeMS: 60_000, staleTimeMS: 60_000 },
          () => 5,
        ),
      );
      const { value }: any = await v29.run(({ cache }) => cache.load("kept"));
      expect(value).toBe(5);
    });
  });
} else {
  leaveOut(
    "the cache of two nodes",
    "redis-server or the packages of test/interop",
  );
}
