/** `cache.wrap` when redis goes away in the middle. */
process.env.LOG_LEVEL = "emerg"; // what is logged is looked at, not shown

import { Redis } from "ioredis";
import { cache } from "../../src/cache/cache";
import { config } from "../../src/config/config";
import { client } from "../../src/cache/keys";
import { connectRedis, leaveCluster } from "../../src/redis/lifecycle";
import { LogLines } from "../support/logLines";
import { useRedisVariables } from "../support/redisConfig";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { timed } from "../support/stopwatch";
import { until } from "../support/until";

describeOnRedis("wrap in an outage", () => {
  const saved = { ...process.env };
  const server = new RedisServer();
  let logs: LogLines;

  beforeAll(async () => {
    logs = new LogLines();
    jest.spyOn(console, "error").mockImplementation(() => undefined); // the line of the retry strategy
    await server.start();
    useRedisVariables({ REDIS_URL: server.url });
    config.redis.operationTimeout = 1_000;
    await connectRedis();
  });

  afterAll(async () => {
    await leaveCluster();
    await server.stop();
    logs.stop();
    process.env = saved;
  });

  test("a lock that redis takes only after its caller timed out is not held", async () => {
    const other = new Redis(server.url);
    await other.script("FLUSH");
    await other.client("PAUSE", 60_000, "WRITE");
    const untouched = jest.fn();
    await expect(cache.wrap("late", {}, untouched)).rejects.toThrow();
    await other.client("UNPAUSE");
    await client().ping(); // what was sent before it is done
    expect(await cache.locks()).toEqual([]);
    expect(untouched).not.toHaveBeenCalled();
    other.disconnect();
  });

  test("a computation during which redis is killed returns its value to all callers; the next caller computes again", async () => {
    const produce = jest.fn(async () => {
      await server.kill();
      return "computed";
    });
    const all = [1, 2, 3].map(() =>
      cache.wrap("key", { expireTimeMS: 60_000 }, produce),
    );
    const tookMs = await timed(async () =>
      expect(await Promise.all(all)).toEqual([
        "computed",
        "computed",
        "computed",
      ]),
    );
    expect(tookMs).toBeLessThan(10_000);
    expect(produce).toHaveBeenCalledTimes(1);
    // that redis is away is said once for all
    expect(
      logs.at("debug", /cannot save the computed value of key/),
    ).toHaveLength(1);
    expect(logs.at("warning", /./)).toEqual([]);
    expect(logs.at("alert", /./)).toHaveLength(1);

    const untouched = jest.fn();
    await expect(cache.wrap("key", {}, untouched)).rejects.toThrow();
    expect(untouched).not.toHaveBeenCalled(); // nobody could tell who else computes

    await server.restart();
    await until(() =>
      cache
        .wrap("key", {}, () => "again")
        .then(
          (value) => value === "again",
          () => false,
        ),
    );
    expect(await cache.locks()).toEqual([]);
  });
});
