import { api } from "../../src/api";
import { cache } from "../../src/cache/cache";
import { config } from "../../src/config/config";
import { describeOnEachEngine } from "../support/engines";
import { useRedisApi } from "../support/redisApi";

const KEYS = "a b,a:b,ключ-鍵-🗝,{tag},__proto__,constructor,*?[x]".split(",");

describeOnEachEngine("cache: objects and lists", (engine) => {
  useRedisApi();
  beforeEach(() => engine.flush());
  afterEach(() => cache.overrideLockName(""));

  test("a saved value is loaded, with its key and when it was saved", async () => {
    const before = Date.now();
    expect(await cache.save("key", { a: [1, "two"] })).toBe(true);
    const loaded = await cache.load("key");
    expect(Object.keys(loaded)).toEqual(["key", "value", "createdAt"]);
    expect(loaded).toMatchObject({ key: "key", value: { a: [1, "two"] } });
    expect(loaded.createdAt).toBeGreaterThanOrEqual(before);
    expect(loaded.createdAt).toBeLessThanOrEqual(Date.now());
  });

  test("redis holds v29's key and value", async () => {
    await cache.save("key", "v");
    const text = await engine.client().get("actionhero:cache:key");
    expect(text).toMatch(/^\{"value":"v","createdAt":\d+\}$/);
  });

  test.each([0, false, null, "", [], 1.5])("%p survives", async (value) => {
    await cache.save("key", value);
    expect((await cache.load("key")).value).toEqual(value);
  });

  test.each([...KEYS, "k".repeat(10_240)])("the key %.20s", async (key) => {
    await cache.save(key, key.length);
    expect(await cache.load(key)).toMatchObject({ key, value: key.length });
    expect(await cache.keys()).toEqual([`actionhero:cache:${key}`]);
    expect(await cache.lock(key)).toBe(true);
    expect(await cache.unlock(key)).toBe(true);
    await cache.push(`${key}-list`, 1);
    expect(await cache.pop(`${key}-list`)).toBe(1);
    expect(await cache.destroy(key)).toBe(true);
    expect(await cache.size()).toBe(0);
  });

  test("a value of 5 MB survives", async () => {
    const value = "x".repeat(5 * 1024 * 1024);
    await cache.save("big", value);
    expect((await cache.load("big")).value === value).toBe(true);
  });

  test("loading a missing key is an error", async () => {
    await expect(cache.load("nothing")).rejects.toMatchObject({
      message: "Object not found",
      code: "AH_CACHE_NOT_FOUND",
    });
    expect(await cache.destroy("nothing")).toBe(false);
    expect(await cache.pop("nothing")).toBeNull();
    expect(await cache.listLength("nothing")).toBe(0);
  });

  test("a value that is not an object of the cache is not found", async () => {
    await engine.client().set("actionhero:cache:text", "not JSON");
    await engine.client().set("actionhero:cache:null", "null");
    await cache.push("list", 1);
    for (const key of ["text", "null", "list"])
      await expect(cache.load(key)).rejects.toThrow("Object not found");
  });

  test("an expiry is in ms, and is not touched by reading", async () => {
    await cache.save("key", 1, 5000.4);
    await cache.load("key");
    const ttl = await engine.client().pttl("actionhero:cache:key");
    expect(ttl).toBeGreaterThan(4000);
    expect(ttl).toBeLessThanOrEqual(5001);
  });

  test.each([0, undefined, null])("expiry %p means never", async (expiry) => {
    await cache.save("key", 1, expiry);
    expect(await engine.client().pttl("actionhero:cache:key")).toBe(-1);
  });

  test("a negative expiry removes the object at once", async () => {
    await cache.save("key", 1);
    expect(await cache.save("key", 2, -1)).toBe(true);
    await expect(cache.load("key")).rejects.toThrow("Object not found");
  });

  test("an expiry that is not a number is refused, and nothing is saved", async () => {
    await expect(cache.save("key", 1, NaN)).rejects.toMatchObject({
      code: "AH_CACHE_EXPIRY",
    });
    expect(await cache.size()).toBe(0);
  });

  test("saving again replaces the time too", async () => {
    await cache.save("key", 1, 5000);
    await cache.save("key", 2);
    expect(await engine.client().pttl("actionhero:cache:key")).toBe(-1);
  });

  test.each([undefined, true])(
    "expireTimeMS of load sets the time anew (retry %p)",
    async (retry) => {
      await cache.save("key", 1, 5000);
      await cache.load("key", { expireTimeMS: 60_000, retry });
      const ttl = await engine.client().pttl("actionhero:cache:key");
      expect(ttl).toBeGreaterThan(50_000);
    },
  );

  test("saveMany and loadMany keep the order, and null where nothing is", async () => {
    await cache.saveMany([
      { key: "a", value: 1 },
      { key: "b", value: 2, expireTimeMS: 60_000 },
    ]);
    const found = await cache.loadMany(["b", "nothing", "a"]);
    expect(found.map((one) => one && [one.key, one.value])).toEqual([
      ["b", 2],
      null,
      ["a", 1],
    ]);
    expect(await engine.client().pttl("actionhero:cache:a")).toBe(-1);
    expect(await engine.client().pttl("actionhero:cache:b")).toBeGreaterThan(
      50_000,
    );
    expect(await cache.saveMany([])).toBe(true);
    expect(await cache.loadMany([])).toEqual([]);
  });

  test("saveMany saves nothing when one of the keys is locked", async () => {
    cache.overrideLockName("other");
    await cache.lock("b");
    cache.overrideLockName("me");
    const entries = ["a", "b", "c"].map((key) => ({ key, value: 1 }));
    await expect(cache.saveMany(entries)).rejects.toMatchObject({
      code: "AH_CACHE_LOCKED",
    });
    expect(await cache.size()).toBe(0);
    await expect(cache.loadMany(["a", "b"])).rejects.toThrow("Object locked");
  });

  test("a list gives its items first in, first out", async () => {
    await cache.push("list", { n: 1 });
    await cache.push("list", null);
    await cache.push("list", "three");
    expect(await engine.client().lrange("actionhero:cache:list", 0, 0)).toEqual(
      ['{"data":{"n":1}}'],
    );
    expect(await cache.listLength("list")).toBe(3);
    expect(await cache.pop("list")).toEqual({ n: 1 });
    expect(await cache.pop("list")).toBeNull();
    expect(await cache.pop("list")).toBe("three");
  });

  test("the keys, the size, and removing by pattern", async () => {
    const names = Array.from({ length: 2_500 }, (_, i) => `k${i}`);
    await cache.saveMany(names.map((key) => ({ key, value: 0 })));
    await cache.save("other", 1);
    await cache.lock("k1");
    const found = await cache.keys("k");
    expect(new Set(found).size).toBe(2_500);
    expect(found).toHaveLength(2_500);
    expect(await cache.size()).toBe(2_501);
    expect(await cache.getKeys("actionhero:cache:o*", 10)).toEqual([
      "actionhero:cache:other",
    ]);
    expect(await cache.locks()).toEqual(["actionhero:lock:k1"]);
    expect(await cache.locks("x")).toEqual([]);
    expect(await cache.clear("actionhero:cache:o*")).toEqual([
      "actionhero:cache:other",
    ]);
    expect(await cache.clear()).toHaveLength(2_500);
    expect(await cache.size()).toBe(0);
    expect(await cache.locks()).toHaveLength(1);
  });
});

describeOnEachEngine("cache: searches at the same time", (engine) => {
  useRedisApi();
  beforeEach(() => engine.flush());

  test("concurrent searches share one that begins after them, and see all earlier saves", async () => {
    await cache.saveMany([1, 2, 3].map((i) => ({ key: `s${i}`, value: i })));
    const { client } = api.redis.clients;
    const spy = jest.spyOn(client, "scan");
    const searches = () =>
      spy.mock.calls.filter(([cursor]) => String(cursor) === "0").length;
    const first = cache.size();
    await cache.save("s4", 4);
    const others = Array.from({ length: 50 }, () => cache.size());
    expect([3, 4]).toContain(await first);
    expect(new Set(await Promise.all(others))).toEqual(new Set([4]));
    expect(searches()).toBeLessThanOrEqual(3); // that of the first, one that the first of the others begins, and one for the rest
    expect(await cache.size()).toBe(4);
    spy.mockRestore();
  });
});

describeOnEachEngine("cache: keys", (engine) => {
  useRedisApi();
  beforeEach(() => engine.flush());

  test("patterns in the prefix of a search are escaped", async () => {
    const names = [
      "us*r:1",
      "user:1",
      "a?c",
      "abc",
      "[x]",
      "x",
      "a\\b",
      "a^-b",
      "a)b",
      "a.b",
    ];
    for (const name of names) {
      await cache.save(name, 1);
      await cache.lock(name);
    }
    for (const start of ["us*r", "a?c", "[x]", "a\\", "a^-", "a)", "a."]) {
      const expected = names.filter((name) => name.startsWith(start));
      expect(await cache.keys(start)).toEqual(
        expected.map((name) => `actionhero:cache:${name}`),
      );
      expect(await cache.locks(start)).toEqual(
        expected.map((name) => `actionhero:lock:${name}`),
      );
    }
  });

  test("patterns in the configured prefix are escaped", async () => {
    const { cachePrefix } = config.general;
    await cache.save("outside", 1);
    config.general.cachePrefix = "actionhero:cach?:[1]:";
    try {
      await cache.save("inside", 1);
      expect(await cache.keys()).toEqual(["actionhero:cach?:[1]:inside"]);
      expect(await cache.size()).toBe(1);
      expect(await cache.clear()).toEqual(["actionhero:cach?:[1]:inside"]);
    } finally {
      config.general.cachePrefix = cachePrefix;
    }
    expect((await cache.load("outside")).value).toBe(1);
  });
});

test("without redis, the cache throws an error that says so", async () => {
  const saved = api.redis;
  delete (api as { redis?: unknown }).redis;
  await expect(cache.load("key")).rejects.toThrow(
    "redis not connected, cache cannot be used",
  );
  api.redis = saved;
});
