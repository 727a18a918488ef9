/** The cache on a Redis Cluster: with its prefixes in one slot, and with those of version 29. */
import type { Cluster, Redis } from "ioredis";
import { api } from "../../src/api";
import { cache } from "../../src/cache/cache";
import { config } from "../../src/config/config";
import { RedisCluster } from "../support/redisCluster";
import { hasRedis } from "../support/redisServer";
import { TemporaryProject } from "../support/temporaryProject";
import { leaveOut } from "../support/leftOut";

if (hasRedis) {
  const cluster = new RedisCluster();
  const folder = new TemporaryProject();
  let client: Cluster;
  const saved = { redis: api.redis, general: config.general };

  beforeAll(async () => {
    await cluster.start();
    client = cluster.client();
    const clients = { client: client as unknown as Redis };
    api.redis = { clients } as typeof api.redis;
  }, 60_000);

  afterAll(async () => {
    client.disconnect();
    await cluster.stop();
    api.redis = saved.redis;
    config.general = saved.general;
    folder.remove();
  });

  describe.each([
    ["prefixes with a hash tag", "{ah}:cache:", "{ah}:lock:"],
    ["the prefixes of version 29", "actionhero:cache:", "actionhero:lock:"],
  ])("%s", (_, cachePrefix, lockPrefix) => {
    beforeAll(() => {
      config.general = { ...saved.general, cachePrefix, lockPrefix };
    });

    beforeEach(async () => {
      await Promise.all(client.nodes("master").map((node) => node.flushall()));
    });

    afterEach(() => cache.overrideLockName(""));

    test("objects, lists and locks work on a Redis Cluster", async () => {
      await cache.save("key", 1, 60_000);
      expect((await cache.load("key", { expireTimeMS: 5_000 })).value).toBe(1);
      expect(await client.pttl(`${cachePrefix}key`)).toBeLessThanOrEqual(5_000);
      await cache.push("list", 1);
      expect(await cache.pop("list")).toBe(1);

      cache.overrideLockName("other");
      expect(await cache.lock("key")).toBe(true);
      cache.overrideLockName("me");
      for (const refused of [
        cache.save("key", 2),
        cache.load("key"),
        cache.destroy("key"),
        cache.saveMany([{ key: "key", value: 2 }]),
        cache.loadMany(["key"]),
        cache.wrap("key", {}, () => 2),
      ])
        await expect(refused).rejects.toThrow("Object locked");
      expect(await cache.unlock("key")).toBe(false);
      cache.overrideLockName("other");
      expect(await cache.unlock("key")).toBe(true);
      expect(await cache.destroy("key")).toBe(true);
    });

    test("many keys at once reach all masters", async () => {
      const keys = Array.from({ length: 300 }, (_, i) => `k${i}`);
      await cache.saveMany(keys.map((key) => ({ key, value: key })));
      const loaded = await cache.loadMany([...keys, "nothing"]);
      expect(loaded.map((one) => one?.value)).toEqual([...keys, undefined]);
      expect(new Set(await cache.keys())).toEqual(
        new Set(keys.map((key) => cachePrefix + key)),
      );
      expect(await cache.size()).toBe(300);

      const file = folder.path("dump");
      expect(await cache.dumpWrite(file)).toBe(300);
      expect(await cache.clear()).toHaveLength(300);
      expect(await cache.size()).toBe(0);
      expect(await cache.dumpRead(file)).toBe(300);
      expect((await cache.load("k299")).value).toBe("k299");
    });

    test("wrap computes once", async () => {
      let calls = 0;
      const produce = async () => ++calls;
      const all = Array.from({ length: 100 }, () =>
        cache.wrap("key", { expireTimeMS: 60_000 }, produce),
      );
      expect(new Set(await Promise.all(all))).toEqual(new Set([1]));
      expect((await cache.load("key")).value).toBe(1);
    });
  });

  test("a hash tag makes a save one command", async () => {
    const commands: string[] = [];
    const spies = client.nodes("master").map((node) =>
      jest.spyOn(node, "sendCommand").mockImplementation(function (
        this: Redis,
        ...args: Parameters<Redis["sendCommand"]>
      ) {
        commands.push(args[0].name);
        return Object.getPrototypeOf(this).sendCommand.apply(this, args);
      }),
    );
    try {
      for (const tag of ["{ah}:", "actionhero:"]) {
        config.general = {
          ...saved.general,
          cachePrefix: `${tag}cache:`,
          lockPrefix: `${tag}lock:`,
        };
        await cache.save("key", 1);
        commands.push("/");
      }
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
    const tagged = commands.slice(0, commands.indexOf("/"));
    // the first time the script's text has to follow
    expect(tagged.filter((name) => !/^eval/.test(name))).toEqual([]);
    expect(commands.slice(tagged.length + 1)).toEqual(["mget", "set", "/"]);
  });
} else {
  leaveOut("the cache on a Redis Cluster", "redis-server");
}
