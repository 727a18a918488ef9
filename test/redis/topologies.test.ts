process.env.LOG_LEVEL = "emerg"; // what is logged is looked at, not shown

import { Cluster, Redis } from "ioredis";
import { api } from "../../src/api";
import {
  createCluster,
  joinNodes,
  leaveNodes,
} from "../../src/cluster/cluster";
import { config, id } from "../../src/config/config";
import { connectRedis, leaveCluster } from "../../src/redis/lifecycle";
import { redis } from "../../src/redis/redis";
import { certificate } from "../support/certificate";
import { freePort } from "../support/freePort";
import { LogLines } from "../support/logLines";
import { RedisCluster } from "../support/redisCluster";
import { useRedisClients, useRedisVariables } from "../support/redisConfig";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { RemoteNode } from "../support/remoteNode";
import { sleep } from "../../src/utils/promises";
import { timed } from "../support/stopwatch";
import { TemporaryProject } from "../support/temporaryProject";
import { until } from "../support/until";

const open = api as unknown as Record<string, any>;
const saved = { ...process.env };
let logs: LogLines;

beforeAll(() => {
  logs = new LogLines();
  jest.spyOn(console, "error").mockImplementation(() => undefined); // v29's line of the retry strategy
});

beforeEach(() => {
  logs.lines.length = 0;
  useRedisVariables({});
});

afterAll(() => {
  logs.stop();
  process.env = saved;
});

/** What everything else is built on: commands, messages, membership, and a stop in time. */
async function expectToWork(): Promise<void> {
  createCluster();
  await connectRedis();
  await joinNodes();
  try {
    await expectService();
    const nodes = await api.cluster.nodes();
    expect(nodes.map((node) => node.id)).toContain(id);
  } finally {
    await leaveNodes();
    expect(await timed(leaveCluster)).toBeLessThan(4_000);
  }
}

async function expectService(): Promise<void> {
  const { client, tasks } = api.redis.clients;
  for (const key of ["one", "two", "three"]) await client.set(key, "1");
  expect(await tasks.get("three")).toBe("1");
  open.method = (text: string) => text.toUpperCase();
  await expect(
    redis.doCluster("api.method", ["heard"], undefined, true),
  ).resolves.toBe("HEARD");
  delete open.method;
}

describeOnRedis("TLS", () => {
  const files = new TemporaryProject({
    "cert.pem": certificate.cert,
    "key.pem": certificate.key,
  });
  const server = new RedisServer();

  beforeAll(() =>
    server.start({
      tls: { cert: files.path("cert.pem"), key: files.path("key.pem") },
    }),
  );

  afterAll(async () => {
    await server.stop();
    files.remove();
  });

  test("TLS is used for a rediss: URL", async () => {
    useRedisVariables({ REDIS_URL: server.url });
    expect(server.url).toMatch(/^rediss:/);
    await expectToWork();
  });

  test("TLS is used with REDIS_SSL", async () => {
    useRedisVariables({ REDIS_SSL: "1", REDIS_PORT: String(server.port) });
    await expectToWork();
  });

  test("TLS works with a certificate that is verified", async () => {
    const tls = { ca: certificate.cert, servername: "localhost" };
    useRedisClients(Redis, [{ port: server.port, tls }]);
    await expectToWork();
  });

  test("an invalid certificate ends the boot, and the error says why", async () => {
    useRedisClients(Redis, [{ port: server.port, tls: {} }]);
    Object.assign(config.redis, {
      connectTimeout: 2_000,
      operationTimeout: 2_000,
    });
    await expect(connectRedis()).rejects.toMatchObject({
      code: "AH_REDIS_CONNECT",
      message: expect.stringMatching(/self-signed certificate/),
    });
  });
});

describeOnRedis("Sentinel", () => {
  const master = new RedisServer();
  const replica = new RedisServer();
  const sentinel = new RedisServer();

  beforeAll(async () => {
    await master.start();
    await replica.start({
      config: { replicaof: `127.0.0.1 ${master.port}` },
    });
    await sentinel.start({
      args: ["--sentinel"],
      config: {
        "sentinel monitor": `mymaster 127.0.0.1 ${master.port} 1`,
        "sentinel down-after-milliseconds": "mymaster 500",
        "sentinel failover-timeout": "mymaster 2000",
      },
    });
    // the sentinel hears of the replica from its master
    const client = new Redis(sentinel.url);
    await until(async () => {
      const replicas = (await client.call(
        "SENTINEL",
        "REPLICAS",
        "mymaster",
      )) as string[][];
      return replicas.some((facts) => facts.includes("slave"));
    }, 20_000);
    client.disconnect();
  });

  afterAll(() =>
    Promise.all([sentinel, replica, master].map((one) => one.stop())),
  );

  const args = () => [
    {
      sentinels: [{ host: "127.0.0.1", port: sentinel.port }],
      name: "mymaster",
    },
  ];

  test("clients find the master through Sentinel", async () => {
    useRedisClients(Redis, args());
    await expectToWork();
    expect(logs.at("notice", /^redis: /)).toEqual([
      "redis: master `mymaster` of a Sentinel, db 0",
    ]);
  });

  test("unresponsive Sentinels end the boot in time", async () => {
    const sentinels = [{ host: "127.0.0.1", port: await freePort() }];
    useRedisClients(Redis, [{ sentinels, name: "mymaster" }]);
    config.redis.connectTimeout = 500;
    await expect(connectRedis()).rejects.toMatchObject({
      code: "AH_REDIS_CONNECT",
    });
  });

  test("a master that stands still is left as soon as another one is promoted, subscriptions included", async () => {
    useRedisClients(Redis, args());
    config.redis.operationTimeout = 120_000; // neither a timeout nor a ping makes the clients reconnect
    createCluster();
    await connectRedis();
    await joinNodes();
    logs.lines.length = 0;
    master.pause();
    try {
      // it is sent to the old master, which would acknowledge it when it wakes
      await api.redis.clients.client.set("moved", "1");
      await until(() => {
        const ports = Object.values(api.redis.clients).map(
          ({ stream }) => (stream as { remotePort?: number }).remotePort,
        );
        return ports.every((port) => port === replica.port);
      });
      await expectService();
      await until(async () => (await api.cluster.nodes()).length === 1);
      expect(logs.at("alert", /^Redis connection/).length).toBeLessThan(2);
      await leaveNodes();
      await leaveCluster();
    } finally {
      master.resume();
    }
  }, 120_000);
});

describeOnRedis("Cluster", () => {
  const cluster = new RedisCluster();

  beforeAll(() => cluster.start());
  afterAll(() => cluster.stop());

  test("the framework uses the keys of all masters, messages and membership", async () => {
    useRedisClients(Cluster, cluster.args());
    await expectToWork();
    expect(logs.at("notice", /^redis: /)).toEqual(["redis: a Redis Cluster"]);
  });

  test("a whole server, by a file of configuration", async () => {
    const ioredis = JSON.stringify(require.resolve("ioredis"));
    const node = await RemoteNode.start({
      redisUrl: "redis://not.asked.invalid",
      overrides: { session: { enabled: true } },
      files: {
        "config/redis.js": `
          const { Cluster } = require(${ioredis});
          const connection = { konstructor: Cluster, args: ${JSON.stringify(cluster.args())}, buildNew: true };
          exports.DEFAULT = { redis: () => ({
            _toExpand: false, client: connection, subscriber: connection, tasks: connection,
          }) };`,
      },
    });
    const seen = await node.run(
      async ({ api, cache, chatRoom, specHelper }) => {
        const { id } = await specHelper.buildConnection();
        await chatRoom.addMember(id, "defaultRoom");
        await cache.save("key", "value");
        return {
          nodes: (await api.cluster.nodes()).length,
          members: (await chatRoom.roomStatus("defaultRoom")).membersCount,
          value: (await cache.load("key")).value,
        };
      },
    );
    expect(seen).toEqual({ nodes: 1, members: 1, value: "value" });
    const kept = await node.run(async ({ api, auth, specHelper }) => {
      const found: unknown[] = [];
      // keys of all masters
      for (let count = 0; count < 8; count++) {
        const { store } = await specHelper.buildConnection();
        store.set("count", count);
        await store.save();
        await store.regenerate();
        store.set("other", count + 1);
        await store.save();
        const again = await specHelper.buildConnection();
        await api.storedSessions.open(again, { sessionToken: store.token });
        found.push([again.store.get("count"), again.store.get("other")]);
        await again.store.destroy();
        const token = await auth.issueToken({ count });
        found.push(await auth.findToken(token), await auth.revokeToken(token));
      }
      return found;
    });
    await node.stop();
    expect(kept).toEqual(
      Array.from({ length: 8 }, (_, count) => [
        [count, count + 1],
        { count },
        true,
      ]).flat(),
    );
  });

  test("the time limit reaches the connections to the masters", async () => {
    useRedisClients(Cluster, cluster.args());
    config.redis.operationTimeout = 300;
    await connectRedis();
    const { client } = api.redis.clients;
    await client.set("one", "1"); // slot 9084: the second master
    cluster.nodes[1].pause();
    await expect(client.get("one")).rejects.toThrow("Command timed out");
    cluster.nodes[1].resume();
    await leaveCluster();
  });

  test("subscriptions on a master that stands still move to another one", async () => {
    useRedisClients(Cluster, cluster.args());
    config.redis.operationTimeout = 500;
    const withSubscription = async (ports: readonly number[]) => {
      for (const port of ports) {
        const client = new Redis({ port });
        const list = await client.call("CLIENT", "LIST", "TYPE", "pubsub");
        client.disconnect();
        if (String(list).includes("cmd=subscribe")) return port;
      }
      return undefined;
    };
    await connectRedis();
    const ports = cluster.nodes.map(({ port }) => port);
    const before = await until(() => withSubscription(ports));
    const victim = cluster.nodes.find(({ port }) => port === before)!;
    victim.pause();
    const others = ports.filter((port) => port !== before);
    expect(others).toContain(await until(() => withSubscription(others)));
    victim.resume();
    await leaveCluster();
  }, 60_000);

  test("a change of the masters reaches all connections, over one that is there", async () => {
    useRedisClients(Cluster, cluster.args());
    await connectRedis();
    const clients = Object.values(api.redis.clients) as unknown as Cluster[];
    const refreshed = clients.map((client) =>
      jest.spyOn(client, "refreshSlotsCache"),
    );
    const slots = jest.spyOn(clients[0].nodes("master")[0], "cluster");
    await until(() => slots.mock.calls.length > 1);
    for (const refresh of refreshed) expect(refresh).not.toHaveBeenCalled();
    for (const node of clients[0].nodes("master"))
      jest.spyOn(node, "cluster").mockResolvedValue([]);
    await until(() =>
      refreshed.every((refresh) => refresh.mock.calls.length > 0),
    );
    jest.restoreAllMocks();
    await leaveCluster();
  });

  // the last ones: afterwards two masters have been replaced
  test.each([
    ["stands still", 0],
    ["is gone", 2],
  ])(
    "a boot goes on as soon as a replica has replaced a master that %s",
    async (how, index) => {
      const replica = await cluster.addReplica(index);
      useRedisClients(Cluster, cluster.args());
      const master = cluster.nodes[index];
      if (how === "is gone") await master.kill();
      else master.pause();
      const connected = connectRedis();
      const isConnected = connected.then(() => true);
      expect(await Promise.race([isConnected, sleep(1_000)])).toBe(undefined);
      const client = new Redis({ port: replica.port });
      await client.call("CLUSTER", "FAILOVER", "TAKEOVER");
      client.disconnect();
      await connected;
      await joinNodes();
      await expectService();
      await leaveNodes();
      await leaveCluster();
      master.resume();
      expect(logs.at("alert", /./)).toEqual([]);
    },
    60_000,
  );

  test("every master is needed: one that stands still ends the boot in time", async () => {
    useRedisClients(Cluster, cluster.args());
    config.redis.connectTimeout = 2_500;
    cluster.nodes[1].pause();
    try {
      await expect(connectRedis()).rejects.toMatchObject({
        code: "AH_REDIS_CONNECT",
      });
    } finally {
      for (const node of cluster.nodes) node.resume();
    }
  }, 60_000);

  test("missing masters end the boot in time", async () => {
    useRedisClients(Cluster, [[{ host: "127.0.0.1", port: await freePort() }]]);
    config.redis.connectTimeout = 500;
    await expect(connectRedis()).rejects.toMatchObject({
      code: "AH_REDIS_CONNECT",
    });
  });
});
