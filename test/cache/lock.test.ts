import { cache } from "../../src/cache/cache";
import { id } from "../../src/config/config";
import { describeOnEachEngine } from "../support/engines";
import { useRedisApi } from "../support/redisApi";

describeOnEachEngine("cache: locks", (engine) => {
  useRedisApi();
  beforeEach(() => engine.flush());
  afterEach(() => cache.overrideLockName(""));

  async function lockedBy(name: string, key: string, ms?: number) {
    cache.overrideLockName(name);
    expect(await cache.lock(key, ms)).toBe(true);
    cache.overrideLockName("me");
  }

  test("a lock is held under the server's id, for whole seconds", async () => {
    expect(await cache.lock("key", 1_200)).toBe(true);
    expect(await engine.client().get("actionhero:lock:key")).toBe(id);
    const ttl = await engine.client().pttl("actionhero:lock:key");
    expect(ttl).toBeGreaterThan(1_500);
    expect(ttl).toBeLessThanOrEqual(2_000);
  });

  test("the default duration is config.general.lockDuration", async () => {
    await cache.lock("key");
    const ttl = await engine.client().pttl("actionhero:lock:key");
    expect(ttl).toBeGreaterThan(8_000);
    expect(ttl).toBeLessThanOrEqual(cache.lockDuration);
  });

  test.each([NaN, Infinity, -Infinity, 1e300])(
    "a time of %p is refused, and nothing is locked",
    async (ms) => {
      await expect(cache.lock("key", ms)).rejects.toMatchObject({
        code: "AH_CACHE_EXPIRY",
      });
      expect(await cache.locks()).toEqual([]);
    },
  );

  test("a lock is not re-entrant", async () => {
    expect(await cache.lock("key")).toBe(true);
    expect(await cache.lock("key")).toBe(false);
  });

  test("the holder may use the key", async () => {
    await cache.lock("key");
    await cache.save("key", 1);
    expect((await cache.load("key")).value).toBe(1);
    expect(await cache.checkLock("key")).toBe(true);
    expect(await cache.destroy("key")).toBe(true);
    expect(await cache.unlock("key")).toBe(true);
    expect(await cache.locks()).toEqual([]);
  });

  test("other processes cannot change the key", async () => {
    await cache.save("key", "first", 60_000);
    await lockedBy("other", "key");
    const locked = { message: "Object locked", code: "AH_CACHE_LOCKED" };
    await expect(cache.save("key", "second")).rejects.toMatchObject(locked);
    await expect(cache.load("key")).rejects.toMatchObject(locked);
    await expect(
      cache.load("key", { expireTimeMS: 5_000 }),
    ).rejects.toMatchObject(locked);
    await expect(cache.destroy("key")).rejects.toMatchObject(locked);
    expect(await cache.lock("key")).toBe(false);
    expect(await cache.unlock("key")).toBe(false);
    expect(await cache.checkLock("key")).toBe(false);

    const ttl = await engine.client().pttl("actionhero:cache:key");
    expect(ttl).toBeGreaterThan(50_000);
    cache.overrideLockName("other");
    expect((await cache.load("key")).value).toBe("first");
    expect(await cache.unlock("key")).toBe(true);
  });

  test("releasing an unlocked key returns true", async () => {
    expect(await cache.unlock("key")).toBe(true);
  });

  test("retry true ignores the lock", async () => {
    await cache.save("key", 1);
    await lockedBy("other", "key");
    expect((await cache.load("key", { retry: true })).value).toBe(1);
    expect(await cache.checkLock("key", true)).toBe(true);
  });

  test("retry waits until the lock frees itself", async () => {
    await cache.save("key", 1);
    const start = Date.now();
    await lockedBy("other", "key", 1);
    expect((await cache.load("key", { retry: 20_000 })).value).toBe(1);
    expect(Date.now() - start).toBeGreaterThanOrEqual(800);
  });

  test("retry gives up after its time", async () => {
    await lockedBy("other", "key");
    await expect(cache.load("key", { retry: 150 })).rejects.toThrow(
      "Object locked",
    );
    expect(await cache.checkLock("key", 150)).toBe(false);
  });

  test("the lock's name can be replaced as a property", async () => {
    const original = cache.lockName;
    cache.lockName = () => "somebody";
    await cache.lock("key");
    expect(await engine.client().get("actionhero:lock:key")).toBe("somebody");
    cache.lockName = original;
    expect(cache.lockName()).toBe(id);
    expect(await cache.unlock("key")).toBe(false);
  });

  test("of many concurrent requests for a lock, one gets it", async () => {
    const results = await Promise.all(
      Array.from({ length: 200 }, () => cache.lock("key")),
    );
    expect(results.filter(Boolean)).toHaveLength(1);
  });

  test("concurrent requests have separate outcomes", async () => {
    await lockedBy("other", "locked");
    const keys = Array.from({ length: 250 }, (_, i) => `k${i}`);
    keys[7] = "locked";
    keys[120] = "__proto__";
    const saved = await Promise.allSettled(
      keys.map((key, i) => cache.save(key, i, i % 2 ? 60_000 : undefined)),
    );
    const failed = saved.flatMap(({ status }, i) =>
      status === "rejected" ? [i] : [],
    );
    expect(failed).toEqual([7]);
    const loaded = await Promise.allSettled(
      [...keys, "nothing"].map((key) => cache.load(key)),
    );
    loaded.forEach((one, i) => {
      if (one.status === "fulfilled")
        expect(one.value).toMatchObject({ key: keys[i], value: i });
      else
        expect(String(one.reason)).toBe(
          i === 7 ? "Error: Object locked" : "Error: Object not found",
        );
    });
    const ttls = await Promise.all(
      ["k0", "k1"].map((key) =>
        engine.client().pttl(`actionhero:cache:${key}`),
      ),
    );
    expect(ttls[0]).toBe(-1);
    expect(ttls[1]).toBeGreaterThan(50_000);
  });

  test("no other process can save between a lock and the first read of its holder", async () => {
    // the saver's check and write are one step: after lock() nobody else's value appears
    await cache.save("key", 0);
    for (let round = 0; round < 50; round++) {
      cache.overrideLockName("saver");
      const saving = cache.save("key", round).catch(() => undefined);
      cache.overrideLockName("holder");
      const isHeld = await cache.lock("key");
      const atFirst = (await cache.load("key")).value;
      await saving;
      expect(isHeld).toBe(true);
      expect((await cache.load("key")).value).toBe(atFirst);
      await cache.unlock("key");
    }
  });
});
