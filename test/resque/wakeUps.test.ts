import { Redis } from "ioredis";
import { RedisWakeUps } from "../../src/resque/store/redisWakeUps";
import { FlakyProxy } from "../support/flakyProxy";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { until } from "../support/until";

describeOnRedis("the connection that waits for jobs", () => {
  const server = new RedisServer();
  let proxy: FlakyProxy;
  let redis: Redis;

  beforeAll(async () => {
    await server.start();
    proxy = await new FlakyProxy(server.port).start();
    redis = new Redis({ port: proxy.port, commandTimeout: 500 });
  });

  afterAll(async () => {
    redis.disconnect();
    await proxy.stop();
    await server.stop();
  });

  test("is opened anew when it is open but dead, and wakes again; the limit on commands does not end its waits", async () => {
    const wakeUps = new RedisWakeUps(redis);
    wakeUps.open();
    const wait = () => wakeUps.wait(["wake"], 60_000).done;
    try {
      const first = wait();
      await until(() => proxy.accepted === 2);
      const idle = performance.now() + 1_200; // longer than one wait
      await until(() => performance.now() > idle);
      await redis.rpush("wake", "1");
      expect(await first).toBe(true);

      const second = wait();
      await until(async () =>
        /cmd=blpop/.test(String(await redis.client("LIST"))),
      );
      proxy.stall();
      await until(() => proxy.accepted === 3, 15_000);
      proxy.resume();
      await redis.rpush("wake", "1");
      expect(await second).toBe(true);
      expect(await redis.llen("wake")).toBe(0);
    } finally {
      wakeUps.close();
    }
  });
});
