import { Redis } from "ioredis";
import { Connection } from "../../src/resque/connection";
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

  test("takes nothing from another database than its client's, if redis refuses that", async () => {
    const refused = new Redis({ port: server.port, db: 99, lazyConnect: true });
    await redis.rpush("wake", "1");
    const wakeUps = new RedisWakeUps(refused);
    wakeUps.open();
    expect(await wakeUps.wait(["wake"], 500).done).toBe(false);
    wakeUps.close();
    expect(await redis.lrange("wake", 0, -1)).toEqual(["1"]);
    await redis.del("wake");
  });

  test("a queue without a client of its own refuses a database that redis does not have", async () => {
    const queue = new Connection({ port: server.port, database: 99 });
    queue.on("error", () => undefined);
    await expect(queue.connect()).rejects.toThrow(
      "cannot select database 99: ERR DB index is out of range",
    );
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
