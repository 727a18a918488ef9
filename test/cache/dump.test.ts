import * as fs from "fs";
import { cache } from "../../src/cache/cache";
import { describeOnEachEngine } from "../support/engines";
import { useRedisApi } from "../support/redisApi";
import { TemporaryProject } from "../support/temporaryProject";

describeOnEachEngine("cache: dump", (engine) => {
  const folder = new TemporaryProject();
  const file = folder.path("cache.dump");
  useRedisApi();
  beforeEach(() => engine.flush());
  afterAll(() => folder.remove());

  test("objects, lists and expiries are restored; later values are removed", async () => {
    await cache.save("forever", { a: 1 });
    await cache.save("timed", 2, 60_000);
    await cache.push("list", "one");
    await cache.push("list", "two");
    expect(await cache.dumpWrite(file)).toBe(3);

    await cache.clear();
    await cache.save("since", 1);
    expect(await cache.dumpRead(file)).toBe(3);

    expect((await cache.load("forever")).value).toEqual({ a: 1 });
    expect((await cache.load("timed")).value).toBe(2);
    const ttl = await engine.client().pttl("actionhero:cache:timed");
    expect(ttl).toBeGreaterThan(50_000);
    expect(ttl).toBeLessThanOrEqual(60_000);
    expect(await cache.pop("list")).toBe("one");
    expect(await cache.pop("list")).toBe("two");
    await expect(cache.load("since")).rejects.toThrow("Object not found");
  });

  test("an object without a time is written as v29 does", async () => {
    await cache.save("key", "v");
    await cache.dumpWrite(file);
    const content = JSON.parse(fs.readFileSync(file, "utf8"));
    expect(content).toEqual({
      "actionhero:cache:key": expect.stringMatching(/^\{"value":"v",/),
    });
  });

  test("expired entries are skipped", async () => {
    const key = "actionhero:cache:old";
    const entry = { value: '{"value":1,"createdAt":1}', expiresAt: 1 };
    fs.writeFileSync(file, JSON.stringify({ [key]: entry }));
    expect(await cache.dumpRead(file)).toBe(0);
    expect(await cache.size()).toBe(0);
  });

  test("a long list is written in parts", async () => {
    const items = Array.from({ length: 1_201 }, (_, i) => `{"data":${i}}`);
    fs.writeFileSync(
      file,
      JSON.stringify({ "actionhero:cache:list": { list: items } }),
    );
    await cache.dumpRead(file);
    expect(await cache.listLength("list")).toBe(1_201);
    expect(await cache.pop("list")).toBe(0);
  });

  test.each([
    ["not JSON", "no JSON"],
    ["[]", "not an object"],
    ["null", "not an object"],
    ['{"actionhero:cache:a":5}', '"actionhero:cache:a"'],
    ['{"actionhero:cache:a":{"list":[1]}}', '"actionhero:cache:a"'],
    ['{"actionhero:cache:a":{"value":"x","expiresAt":"1"}}', "cache:a"],
  ])("the file %p is refused, and the cache is left alone", async (text) => {
    await cache.save("key", 1);
    fs.writeFileSync(file, text);
    await expect(cache.dumpRead(file)).rejects.toMatchObject({
      code: "AH_CACHE_DUMP",
      message: expect.stringContaining(file),
    });
    expect((await cache.load("key")).value).toBe(1);
  });

  test("a missing file is an error", async () => {
    await expect(cache.dumpRead(folder.path("nothing"))).rejects.toThrow(
      "ENOENT",
    );
  });
});
