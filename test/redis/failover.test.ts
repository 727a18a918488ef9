/** Clients behind an address that moves to another server. */
import { EventEmitter, once } from "node:events";
import { Redis } from "ioredis";
import { followFailover } from "../../src/redis/failover";
import { FlakyProxy } from "../support/flakyProxy";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { until } from "../support/until";

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
    client.on("error", () => undefined); // of connections that are cut
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

  test("writes to the master when its own server refuses reads, too", async () => {
    const admin = new Redis(replica.port, "127.0.0.1");
    await admin.config("SET", "replica-serve-stale-data", "no");
    await admin.replicaof("127.0.0.1", 1);
    followFailover(client);
    const read = client.get("a");
    read.catch(() => undefined);
    await until(() => proxy.accepted > 1);
    proxy.targetPort = master.port;
    expect(await read).toBeNull();
    await client.set("a", "x");
    admin.disconnect();
  });

  test("waits longer and longer while the server stays one", async () => {
    const pauses: number[] = [];
    client.options.retryStrategy = (times) => pauses.push(times) && 1;
    const seen = new EventEmitter();
    const accepted = once(seen, "accepted");
    followFailover(client, {
      refused: (error) => void seen.emit("refused", error),
      accepted: () => void seen.emit("accepted"),
      isRefusedForLong: () => false,
    });
    const warnings: Error[] = [];
    const warn = (warning: Error) => void warnings.push(warning);
    process.on("warning", warn);
    try {
      const refused = once(seen, "refused");
      const writes = Array.from({ length: 30 }, () => client.incr("a"));
      const [error] = (await refused) as [Error];
      expect(error.message).toMatch(/^READONLY/);
      await until(() => pauses.length >= 5);
      expect(pauses.slice(0, 5)).toEqual([1, 2, 3, 4, 5]);
      proxy.targetPort = master.port;
      await Promise.all(writes);
      await accepted;
      expect(await client.get("a")).toBe("30");

      // the next failover begins anew
      proxy.targetPort = replica.port;
      const closed = new Promise((resolve) => client.once("close", resolve));
      proxy.cut();
      await closed;
      await until(() => client.status === "ready");
      pauses.length = 0;
      const late = client.set("a", "late");
      await until(() => pauses.length >= 2);
      proxy.targetPort = master.port;
      await late;
      expect(pauses.slice(0, 2)).toEqual([1, 2]);
    } finally {
      process.off("warning", warn);
    }
    expect(warnings).toEqual([]);
  });

  test("duplicates of it do so on their own", async () => {
    const pauses: number[] = [];
    client.options.retryStrategy = (times) => pauses.push(times) && 1;
    followFailover(client);
    const copy = client.duplicate();
    followFailover(copy);
    copy.set("a", "x").catch(() => undefined); // given up at the end
    await until(() => pauses.length >= 3);
    expect(pauses.slice(0, 3)).toEqual([1, 2, 3]);
    const ended = new Promise((resolve) => copy.once("end", resolve));
    copy.options.retryStrategy = () => null;
    await ended;
  });

  test("follows its own options", async () => {
    client.options.reconnectOnError = () => false;
    followFailover(client);
    await expect(client.set("a", "x")).rejects.toThrow("READONLY");
    expect(proxy.accepted).toBe(1);
  });
});
