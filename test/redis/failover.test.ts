/** Clients behind an address that moves to another server. */
import { Redis } from "ioredis";
import { followFailover } from "../../src/redis/failover";
import { FlakyProxy } from "../support/flakyProxy";
import { describeOnRedis, RedisServer } from "../support/redisServer";

describeOnRedis("a client whose server became a replica", () => {
  const master = new RedisServer();
  const replica = new RedisServer();
  let proxy: FlakyProxy;
  let client: Redis;

  beforeEach(async () => {
    await master.start();
    await replica.start({
      config: { replicaof: `127.0.0.1 ${master.port}` },
    });
    proxy = await new FlakyProxy(replica.port).start();
    client = new Redis({ port: proxy.port, host: "127.0.0.1" });
  });
  afterEach(async () => {
    client.disconnect();
    await proxy.stop();
    await replica.stop();
    await master.stop();
  });

  test("reconnects and writes to the master, also by a script", async () => {
    followFailover(client);
    await client.ping();
    proxy.targetPort = master.port;
    await client.eval("return redis.call('SET', KEYS[1], 'x')", 1, "a");
    await client.set("b", "y");
    expect(await client.mget("a", "b")).toEqual(["x", "y"]);
    expect(proxy.accepted).toBe(2);
  });

  test("follows its own options", async () => {
    client.options.reconnectOnError = () => false;
    followFailover(client);
    await expect(client.set("a", "x")).rejects.toThrow("READONLY");
    expect(proxy.accepted).toBe(1);
  });
});
