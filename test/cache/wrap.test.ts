import { cache } from "../../src/cache/cache";
import { api } from "../../src/api";
import { isEmbedded } from "../../src/redis/engine";
import { sleep } from "../../src/utils/promises";
import { describeOnEachEngine } from "../support/engines";
import { unstalled } from "../support/stopwatch";
import { useRedisApi } from "../support/redisApi";
import { until } from "../support/until";

/** A producer that is told when to end. */
function gate<T>(value: T) {
  let open!: () => void;
  let begun!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const started = new Promise<void>((resolve) => (begun = resolve));
  const produce = jest.fn(async () => {
    begun();
    await opened;
    return value;
  });
  return { produce, open, started };
}

describeOnEachEngine("cache: wrap", (engine) => {
  useRedisApi();
  beforeEach(() => engine.flush());
  afterEach(() => cache.overrideLockName(""));

  test("a miss computes and saves, a hit does not compute", async () => {
    const produce = jest.fn(() => ({ n: 1 }));
    expect(await cache.wrap("key", {}, produce)).toEqual({ n: 1 });
    expect(await cache.wrap("key", {}, produce)).toEqual({ n: 1 });
    expect(produce).toHaveBeenCalledTimes(1);
    expect((await cache.load("key")).value).toEqual({ n: 1 });
    expect(await cache.locks()).toEqual([]);
  });

  test("every caller, including the first, gets the value as parsed from JSON", async () => {
    const produce = () => ({ at: new Date(0), none: undefined });
    const first = await cache.wrap("key", {}, produce);
    expect(first).toEqual({ at: "1970-01-01T00:00:00.000Z" });
    expect(await cache.wrap("key", {}, produce)).toEqual(first);
  });

  describe("while a value is computed", () => {
    const compute = async (options = {}) => {
      const { produce, open, started } = gate("computed");
      const value = cache.wrap("key", options, produce);
      await started;
      return {
        finish: () => {
          open();
          return value;
        },
      };
    };
    const found = async () => {
      const object = await cache.load("key").catch(() => undefined);
      return object?.value;
    };

    test("a newer save is kept and returned to later callers", async () => {
      const { finish } = await compute();
      await cache.save("key", "saved");
      expect(await cache.wrap("key", {}, () => "other")).toBe("saved");
      expect(await finish()).toBe("computed");
      expect(await found()).toBe("saved");
    });

    test("a save by saveMany is kept, too", async () => {
      const { finish } = await compute();
      await cache.saveMany([{ key: "key", value: "saved" }]);
      await finish();
      expect(await found()).toBe("saved");
    });

    const removals: Record<string, () => Promise<unknown>> = {
      destroy: () => cache.destroy("key"),
      "a save that has expired": () => cache.save("key", "x", -1),
      "saveMany of what has expired": () =>
        cache.saveMany([{ key: "key", value: "x", expireTimeMS: -1 }]),
      clear: () => cache.clear(),
      "clear of a pattern": () => cache.clear("actionhero:cache:ke*"),
    };

    test.each(Object.keys(removals))(
      "%s is not undone, and who asks then computes anew",
      async (name) => {
        const { finish } = await compute();
        await removals[name]();
        const anew = cache.wrap("key", {}, () => "anew");
        expect(await anew).toBe("anew");
        expect(await finish()).toBe("computed");
        expect(await found()).toBe("anew");

        await cache.destroy("key");
        const second = await compute();
        await removals[name]();
        await second.finish();
        expect(await found()).toBeUndefined();
        expect(await cache.locks()).toEqual([]);
      },
    );

    test("a removal of other keys changes nothing", async () => {
      const { finish } = await compute();
      await cache.destroy("other");
      await cache.clear("actionhero:cache:other*");
      await finish();
      expect(await found()).toBe("computed");
    });

    test("an old value that expires meanwhile is replaced", async () => {
      await cache.wrap("key", { expireTimeMS: 1, staleTimeMS: 500 }, () => 1);
      await sleep(5);
      const { produce, open, started } = gate("computed");
      await cache.wrap("key", { staleTimeMS: 500 }, produce);
      await started;
      await until(async () => (await found()) === undefined);
      open();
      await until(async () => (await found()) === "computed");
    });

    test("a save during the refresh of a stale value stays", async () => {
      await cache.wrap(
        "key",
        { expireTimeMS: 1, staleTimeMS: 60_000 },
        () => 1,
      );
      await sleep(5);
      const { produce, open, started } = gate("computed");
      expect(await cache.wrap("key", {}, produce)).toBe(1);
      await started;
      await cache.save("key", "saved");
      open();
      await until(async () => (await cache.locks()).length === 0);
      expect(await found()).toBe("saved");
    });
  });

  test("a thousand misses at once run the producer once", async () => {
    const { produce, open, started } = gate("value");
    const all = Array.from({ length: 1_000 }, () =>
      cache.wrap("key", { expireTimeMS: 60_000 }, produce),
    );
    await started;
    open();
    expect(new Set(await Promise.all(all))).toEqual(new Set(["value"]));
    expect(produce).toHaveBeenCalledTimes(1);
  });

  test("callers do not share the objects they get", async () => {
    const { produce, open } = gate({ list: [1] });
    const both = [
      cache.wrap("key", {}, produce),
      cache.wrap("key", {}, produce),
    ];
    open();
    const [a, b] = await Promise.all(both);
    a.list.push(2);
    expect(b).toEqual({ list: [1] });
  });

  test("an error of the producer reaches all callers, saves nothing and holds nothing", async () => {
    const produce = jest.fn(async () => {
      throw new Error("no luck");
    });
    const all = [1, 2].map(() => cache.wrap("key", {}, produce));
    for (const one of all) await expect(one).rejects.toThrow("no luck");
    expect(produce).toHaveBeenCalledTimes(1);
    expect(await cache.locks()).toEqual([]);
    expect(await cache.wrap("key", {}, () => 2)).toBe(2);
  });

  test("another process's computing is waited for", async () => {
    const other = "actionhero:lock:wrap:key";
    await engine.client().set(other, "its token", "PX", 60_000);
    const produce = jest.fn(() => "mine");
    const waiting = cache.wrap("key", {}, produce);
    await cache.save("key", "theirs");
    expect(await waiting).toBe("theirs");
    expect(produce).not.toHaveBeenCalled();
    expect(await engine.client().get(other)).toBe("its token");
  });

  test("wrap stops waiting after waitTimeMS", async () => {
    await engine.client().set("actionhero:lock:wrap:key", "x", "PX", 60_000);
    await expect(
      cache.wrap("key", { waitTimeMS: 50 }, () => 1),
    ).rejects.toMatchObject({ code: "AH_CACHE_LOCKED" });
  });

  test("a computing process that died is replaced when its lock runs out", async () => {
    await engine.client().set("actionhero:lock:wrap:key", "dead", "PX", 60);
    expect(await cache.wrap("key", {}, () => "mine")).toBe("mine");
  });

  test("the lock lives as long as the producer runs", async () => {
    // who stands still for too long loses the lock, as it should be
    await unstalled(async () => {
      await engine.flush();
      const { produce, open, started } = gate(1);
      const first = cache.wrap("key", { lockTimeMS: 150 }, produce);
      await started;
      const lock = "actionhero:lock:wrap:key";
      const token = await engine.client().get(lock);
      const end = Date.now() + 400;
      try {
        await until(async () => {
          expect(await engine.client().get(lock)).toBe(token);
          return Date.now() > end;
        });
      } finally {
        open();
        expect(await first).toBe(1);
      }
      expect(await engine.client().exists(lock)).toBe(0);
    }, 50);
  });

  test("a caller that lost the lock does not overwrite the newer value", async () => {
    const { produce, open, started } = gate("late");
    const late = cache.wrap("key", {}, produce);
    await started;
    await engine.client().set("actionhero:lock:wrap:key", "taken over");
    await cache.save("key", "newer");
    open();
    expect(await late).toBe("late");
    expect((await cache.load("key")).value).toBe("newer");
    expect(await engine.client().get("actionhero:lock:wrap:key")).toBe(
      "taken over",
    );
  });

  test("a key that another owner holds with cache.lock is refused", async () => {
    cache.overrideLockName("other");
    await cache.lock("key");
    cache.overrideLockName("me");
    await expect(cache.wrap("key", {}, () => 1)).rejects.toThrow(
      "Object locked",
    );
  });

  test("a producer that throws before its first await is like any other", async () => {
    const produce = () => {
      throw new Error("no luck");
    };
    await expect(cache.wrap("key", {}, produce)).rejects.toThrow("no luck");
    await expect(
      cache.wrap("key", {}, undefined as unknown as () => 1),
    ).rejects.toThrow(TypeError);
    await expect(cache.wrap("key", {}, () => 1n)).rejects.toThrow("BigInt");
    expect(await cache.locks()).toEqual([]);
  });

  test.each(["__proto__", "constructor", "", "a: ü", "k".repeat(10_240)])(
    "the key %.20s",
    async (key) => {
      const produce = jest.fn(() => key.length);
      const all = [1, 2].map(() => cache.wrap(key, {}, produce));
      expect(await Promise.all(all)).toEqual([key.length, key.length]);
      expect(produce).toHaveBeenCalledTimes(1);
    },
  );

  test("a producer that asks for its own key ends with an error", async () => {
    const options = { waitTimeMS: 50 };
    const produce = (): Promise<unknown> => cache.wrap("key", options, produce);
    await expect(cache.wrap("key", options, produce)).rejects.toMatchObject({
      code: "AH_CACHE_LOCKED",
    });
    expect(await cache.locks()).toEqual([]);
  });

  test("a caller that does not wait for others gets the stored value", async () => {
    await cache.save("key", "there");
    const options = { waitTimeMS: 0 };
    const all = Array.from({ length: 50 }, () =>
      cache.wrap("key", options, () => "computed"),
    );
    expect(new Set(await Promise.all(all))).toEqual(new Set(["there"]));
  });

  test("an expired value is computed again", async () => {
    let calls = 0;
    const produce = () => ++calls;
    expect(await cache.wrap("key", { expireTimeMS: 30 }, produce)).toBe(1);
    await until(async () => (await cache.size()) === 0);
    expect(await cache.wrap("key", { expireTimeMS: 30 }, produce)).toBe(2);
  });

  test("a stale value is given at once while one caller computes a new one", async () => {
    const options = { expireTimeMS: 20, staleTimeMS: 60_000 };
    await cache.wrap("key", options, () => "old");
    const { freshUntil } = JSON.parse(
      (await engine.client().get("actionhero:cache:key"))!,
    );
    await until(async () => Date.now() > freshUntil);

    const { produce, open, started } = gate("new");
    expect(await cache.wrap("key", options, produce)).toBe("old");
    await started;
    expect(await cache.wrap("key", options, produce)).toBe("old");
    expect((await cache.load("key")).value).toBe("old");
    open();
    await until(async () => (await cache.load("key")).value === "new");
    expect(produce).toHaveBeenCalledTimes(1);
    await until(async () => (await cache.locks()).length === 0);
  });

  test("a value is fresh by the clock of redis, whatever the clock of this host says", async () => {
    const own = jest.spyOn(Date, "now");
    try {
      const options = { expireTimeMS: 600_000, staleTimeMS: 6_000_000 };
      const produce = jest.fn(() => "value");
      const { client } = api.redis.clients;
      for (const shiftMs of [-3_600_000, 3_600_000]) {
        await engine.flush();
        const real = performance.timeOrigin + performance.now();
        own.mockImplementation(() => Math.round(real + shiftMs));
        const storeMs = isEmbedded(client) ? real + shiftMs : real;
        await cache.wrap("key", options, produce);
        const text = await client.get("actionhero:cache:key");
        const { freshUntil } = JSON.parse(text!);
        expect(Math.abs(freshUntil - storeMs - 600_000)).toBeLessThan(60_000);
        // of a process whose clock is right
        const other = { value: "other", freshUntil: storeMs + 600_000 };
        await client.set("actionhero:cache:key", JSON.stringify(other));
        expect(await cache.wrap("key", options, produce)).toBe("other");
      }
      expect(produce).toHaveBeenCalledTimes(2);
    } finally {
      own.mockRestore();
    }
  });

  test("a refresh that fails leaves the stale value, and the next caller tries again", async () => {
    const options = { expireTimeMS: 1, staleTimeMS: 60_000 };
    await cache.wrap("key", options, () => "old");
    const fails = jest.fn(async () => {
      throw new Error("no luck");
    });
    await until(async () => {
      expect(await cache.wrap("key", options, fails)).toBe("old");
      return fails.mock.calls.length > 1;
    });
    await until(async () => (await cache.locks()).length === 0);
  });

  test("jitter takes up to its part off the time", async () => {
    const random = jest.spyOn(Math, "random").mockReturnValue(0.5);
    try {
      await cache.wrap("key", { expireTimeMS: 60_000, jitter: 0.2 }, () => 1);
    } finally {
      random.mockRestore();
    }
    const ttl = await engine.client().pttl("actionhero:cache:key");
    expect(ttl).toBeGreaterThan(50_000);
    expect(ttl).toBeLessThanOrEqual(54_000);
  });

  test.each([
    { expireTimeMS: -1 },
    { staleTimeMS: NaN },
    { waitTimeMS: Infinity },
    { lockTimeMS: "5" as unknown as number },
    { jitter: 2 },
  ])("%p is refused by name", async (options) => {
    await expect(cache.wrap("key", options, () => 1)).rejects.toThrow(
      Object.keys(options)[0],
    );
  });
});
