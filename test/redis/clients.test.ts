process.env.LOG_LEVEL = "emerg"; // what is logged is looked at, not shown

import * as net from "net";
import * as path from "path";
import { Redis } from "ioredis";
import { api } from "../../src/api";
import { config } from "../../src/config/config";
import { connectRedis, leaveCluster } from "../../src/redis/lifecycle";
import { addChannel } from "../../src/redis/pubsub";
import { redis } from "../../src/redis/redis";
import { FlakyProxy } from "../support/flakyProxy";
import { freePort } from "../support/freePort";
import { LogLines } from "../support/logLines";
import { useRedisClients, useRedisVariables } from "../support/redisConfig";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { timed } from "../support/stopwatch";
import { repositoryRoot } from "../support/temporaryProject";
import { until } from "../support/until";
import { RemoteNode } from "../support/remoteNode";

const OFTEN = `
const { Task } = require(${JSON.stringify(path.join(repositoryRoot, "src/index.ts"))});
exports.Often = class extends Task {
  name = "often";
  description = "runs often";
  frequency = 1000;
  async run() {}
};
`;

function bulk(...texts: string[]): string {
  const parts = texts.map((text) => `$${text.length}\r\n${text}\r\n`);
  return `*${texts.length}\r\n${parts.join("")}`;
}

/** The reply of a Sentinel to the subscription of a client. */
const SUBSCRIBED = bulk("subscribe", "+switch-master")
  .replace("*2", "*3")
  .concat(":1\r\n");

jest.spyOn(console, "error").mockImplementation(() => undefined); // v29's line of the retry strategy

describeOnRedis("connecting to redis", () => {
  let logs: LogLines;
  const server = new RedisServer();
  const saved = { ...process.env };

  beforeAll(async () => {
    logs = new LogLines();
    await server.start();
  });

  beforeEach(() => {
    logs.lines.length = 0;
    useRedisVariables({ REDIS_URL: server.url });
  });

  afterAll(async () => {
    await server.stop();
    logs.stop();
    process.env = saved;
  });

  /** Wait until no connection is open, or tries to be. */
  async function untilClosed(): Promise<void> {
    for (const client of Object.values(api.redis.clients))
      await until(() => client.status === "end");
  }

  /** Limits that a test can wait for. */
  function shorten(): void {
    Object.assign(config.redis, {
      connectTimeout: 300,
      operationTimeout: 1_000,
    });
  }

  async function failure(): Promise<Error & { code: string }> {
    const error = await connectRedis().then(
      () => undefined,
      (error: Error & { code: string }) => error,
    );
    await untilClosed();
    return error!;
  }

  /** The address of something that accepts connections and treats them as it is told. */
  async function listen(
    onConnection: (socket: net.Socket) => void,
  ): Promise<{ port: number; close(): Promise<unknown> }> {
    const sockets = new Set<net.Socket>();
    const listener = net.createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
      onConnection(socket);
    });
    await new Promise<void>((resolve) => listener.listen(0, resolve));
    const { port } = listener.address() as net.AddressInfo;
    return {
      port,
      close: () => {
        for (const socket of sockets) socket.destroy();
        return new Promise((resolve) => listener.close(resolve));
      },
    };
  }

  test("the banner names the server, without its password", async () => {
    await connectRedis();
    await leaveCluster();
    expect(logs.at("notice", /^redis: /)).toEqual([
      `redis: 127.0.0.1:${server.port}, db ${process.env.JEST_WORKER_ID}`,
    ]);
  });

  test("the banner names the in-process engine", async () => {
    useRedisVariables({});
    await connectRedis();
    await leaveCluster();
    expect(logs.at("notice", /^redis: in-process engine/)).toHaveLength(1);
  });

  test("without a server: one clear error, in time", async () => {
    const port = await freePort();
    useRedisVariables({ REDIS_PORT: String(port) });
    shorten();
    let error!: Error & { code: string };
    const tookMs = await timed(async () => (error = await failure()));
    expect(error.code).toBe("AH_REDIS_CONNECT");
    expect(error.message).toBe(
      `cannot reach redis (connection \`client\` at 127.0.0.1:${port}): connect ECONNREFUSED 127.0.0.1:${port}`,
    );
    expect(tookMs).toBeLessThan(3_000);
    expect(logs.at("alert", /./)).toHaveLength(1); // however many attempts were made
  });

  test("a process that stood still longer than the limit while it booted connects", async () => {
    config.redis.connectTimeout = 1_000;
    const connected = connectRedis();
    await new Promise(setImmediate);
    const end = performance.now() + 1_500;
    while (performance.now() < end);
    await connected;
    await leaveCluster();
  });

  test("with a silent server: one clear error, in time", async () => {
    const silent = await listen(() => undefined);
    useRedisVariables({ REDIS_PORT: String(silent.port) });
    shorten();
    const error = await failure();
    expect(error.code).toBe("AH_REDIS_CONNECT");
    expect(error.message).toMatch(/: no reply within 300 ms$/);
    await silent.close();
  });

  test("with a server that hangs up: one clear error, in time", async () => {
    const rude = await listen((socket) => socket.destroy());
    useRedisVariables({ REDIS_PORT: String(rude.port) });
    shorten();
    const error = await failure();
    expect(error.code).toBe("AH_REDIS_CONNECT");
    await rude.close();
  });

  test("with a server other than redis: one clear error, in time", async () => {
    const other = await listen((socket) =>
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"),
    );
    useRedisVariables({ REDIS_PORT: String(other.port) });
    shorten();
    expect((await failure()).code).toBe("AH_REDIS_CONNECT");
    await other.close();
  });

  test("a name that does not resolve: one clear error, in time", async () => {
    useRedisVariables({ REDIS_HOST: "redis.invalid" });
    shorten();
    const error = await failure();
    expect(error.code).toBe("AH_REDIS_CONNECT");
    expect(error.message).toContain("redis.invalid");
  });

  test("a redis that starts a little later is waited for", async () => {
    const port = await freePort();
    useRedisVariables({ REDIS_PORT: String(port) });
    const connecting = connectRedis();
    const late = await new RedisServer().start({ port });
    await connecting;
    expect(await api.redis.clients.client.ping()).toBe("PONG");
    await leaveCluster();
    await late.stop();
  });

  describe("with a password", () => {
    const guarded = new RedisServer();

    beforeAll(() =>
      guarded.start({ config: { requirepass: '"s3cret p@ss"' } }),
    );
    afterAll(() => guarded.stop());

    test.each([
      [
        "in REDIS_PASSWORD",
        () => ({
          REDIS_PASSWORD: "s3cret p@ss",
          REDIS_PORT: String(guarded.port),
        }),
      ],
      [
        "in REDIS_URL, encoded",
        () => ({
          REDIS_URL: `redis://:s3cret%20p%40ss@127.0.0.1:${guarded.port}`,
        }),
      ],
      [
        "in REDIS_URL, with the name of the user",
        () => ({
          REDIS_URL: `redis://default:s3cret%20p%40ss@127.0.0.1:${guarded.port}/3`,
        }),
      ],
    ])("%s: connects", async (_title, variables) => {
      useRedisVariables(variables());
      await connectRedis();
      expect(await api.redis.clients.client.ping()).toBe("PONG");
      await leaveCluster();
    });

    test.each([
      [
        "a wrong one",
        { REDIS_PASSWORD: "wrong" },
        /WRONGPASS|invalid password/,
      ],
      ["none", {}, /NOAUTH/],
    ])("%s: refused at once", async (_title, variables, reason) => {
      useRedisVariables({ ...variables, REDIS_PORT: String(guarded.port) });
      let error!: Error & { code: string };
      const tookMs = await timed(async () => (error = await failure()));
      expect(error.code).toBe("AH_REDIS_CONNECT");
      expect(error.message).toMatch(reason);
      expect(error.message).not.toContain("wrong");
      expect(tookMs).toBeLessThan(5_000); // of the ten seconds of connectTimeout
    });
  });

  test("the boot of a server fails with that error, and the process can continue", async () => {
    const port = await freePort();
    const booting = RemoteNode.start({
      redisUrl: `redis://127.0.0.1:${port}`,
      overrides: { redis: { connectTimeout: 300 } },
    });
    await expect(booting).rejects.toThrow(
      `could not start: cannot reach redis (connection \`client\` at 127.0.0.1:${port})`,
    );
  });

  test("a node that boots while redis refuses writes waits for it", async () => {
    const client = new Redis(server.url);
    await client.config("SET", "min-replicas-to-write", "1");
    const node = RemoteNode.start({ redisUrl: server.url });
    // its connections are there, so its first write has been refused
    await until(async () => {
      const list = (await client.client("LIST")) as string;
      return /cmd=del\b/.test(list);
    }, 30_000);
    await client.config("SET", "min-replicas-to-write", "0");
    client.disconnect();
    await (await node).kill();
  }, 60_000);

  test("redis that refuses writes for longer than connectTimeout: one clear error", async () => {
    const client = new Redis(server.url);
    await client.config("SET", "min-replicas-to-write", "1");
    shorten();
    const error = await failure();
    expect(error.code).toBe("AH_REDIS_CONNECT");
    expect(error.message).toMatch(/connection `client` at .*: NOREPLICAS /);
    await client.config("SET", "min-replicas-to-write", "0");
    client.disconnect();
  });

  test("redis that loads its data is asked again soon, and a subscription waits for it", async () => {
    const info = "*1\r\n$4\r\ninfo\r\n";
    const reply = "loading:1\r\nloading_eta_seconds:1000\r\n";
    const sockets = new Set<net.Socket>();
    let isLoading = false;
    let asked = 0;
    const proxy = await listen((socket) => {
      sockets.add(socket);
      const upstream = net.connect(server.port);
      upstream.on("error", () => undefined);
      upstream.pipe(socket);
      socket.on("close", () => upstream.destroy());
      socket.on("data", (bytes) => {
        const text = bytes.toString("latin1");
        if (!isLoading || !text.includes(info))
          return void upstream.write(bytes);
        asked++;
        upstream.write(text.replace(info, ""), "latin1");
        // behind the replies to what came before
        setTimeout(() => socket.write(`$${reply.length}\r\n${reply}\r\n`), 100);
      });
    });
    useRedisVariables({ REDIS_PORT: String(proxy.port) });
    await connectRedis();
    const { client, subscriber } = api.redis.clients;
    isLoading = true;
    for (const socket of sockets) socket.destroy();
    await until(() => subscriber.status === "connect" && asked > 0, 30_000);
    const added = addChannel("while-loading");
    await until(() => asked >= 9, 9_000); // of three connections
    isLoading = false;
    await added;
    await until(() => client.status === "ready", 30_000);
    expect(await client.publish("while-loading", "x")).toBe(1);
    expect(logs.at("alert", /subscriber mode/)).toEqual([]);
    await leaveCluster();
    await proxy.close();
  }, 60_000);

  test("a boot passes a Sentinel and a master that stand still", async () => {
    const still = await listen(() => undefined);
    let master = still.port;
    let asked = 0;
    const sentinel = await listen((socket) => {
      socket.on("data", (bytes) => {
        for (const command of bytes
          .toString()
          .split(/^\*\d+\r\n/m)
          .slice(1)) {
          const isQuestion = command.includes("get-master-addr-by-name");
          if (isQuestion) asked++;
          if (isQuestion) socket.write(bulk("127.0.0.1", String(master)));
          // another reply to it is an exception in ioredis
          else if (/subscribe/i.test(command)) socket.write(SUBSCRIBED);
          else socket.write("*0\r\n");
        }
      });
    });
    const sentinels = [still, sentinel].map(({ port }) => ({
      host: "127.0.0.1",
      port,
    }));
    useRedisClients(Redis, [{ sentinels, name: "mymaster" }]);
    const connected = connectRedis();
    await until(() => asked > 0, 30_000);
    master = server.port; // it was promoted
    await connected;
    expect(await api.redis.clients.client.ping()).toBe("PONG");
    await leaveCluster();
    await Promise.all([still.close(), sentinel.close()]);
  }, 60_000);

  test("a replica at boot: the error names the reason", async () => {
    const replica = await new RedisServer().start({
      config: { replicaof: `127.0.0.1 ${server.port}` },
    });
    useRedisVariables({ REDIS_PORT: String(replica.port) });
    Object.assign(config.redis, { connectTimeout: 2_000 });
    const error = await failure();
    expect(error.code).toBe("AH_REDIS_CONNECT");
    expect(error.message).toMatch(/: READONLY /);
    await replica.stop();
  });

  test("a node boots while redis is full", async () => {
    const client = new Redis(server.url);
    await client.config("SET", "maxmemory", "1");
    const node = await RemoteNode.start({
      redisUrl: server.url,
      overrides: {
        general: { paths: { task: ["tasks"] } },
        tasks: { scheduler: true, minTaskProcessors: 1, maxTaskProcessors: 1 },
      },
      files: { "tasks/often.js": OFTEN },
    });
    await until(() =>
      node.lines.some((line) =>
        /cannot enqueue the task often: .*OOM/.test(line),
      ),
    );
    await client.config("SET", "maxmemory", "0");
    client.disconnect();
    await node.kill();
  }, 60_000);

  test("connections that a project makes itself are used as they are", async () => {
    const made: unknown[] = [];
    const make = (args: unknown[]) => {
      made.push(args);
      return new Redis(server.url);
    };
    useRedisClients(make, ["one", "two"], false);
    await connectRedis();
    expect(made).toEqual(Array(3).fill(["one", "two"]));
    expect(await api.redis.clients.client.ping()).toBe("PONG");
    expect(api.redis.clients.client.options.commandTimeout).toBeUndefined();
    await leaveCluster();
  });

  describe("a database that redis does not have", () => {
    const options = () => ({ port: server.port, db: 99 });

    test.each([
      [
        "of REDIS_URL",
        () => useRedisVariables({ REDIS_URL: `${server.url}/99` }),
      ],
      [
        "of a client without checks",
        () =>
          useRedisClients(Redis, [
            { ...options(), enableReadyCheck: false, disableClientInfo: true },
          ]),
      ],
      [
        "of a client that the project makes",
        () => useRedisClients(() => new Redis(options()), [], false),
      ],
      [
        "of a client that was connected before",
        () => {
          const client = new Redis(options());
          client.on("error", () => undefined);
          useRedisClients(() => client, [], false);
          return until(() => client.status === "ready");
        },
      ],
    ] as [string, () => unknown][])(
      "%s is refused at boot",
      async (_whose, configure) => {
        await configure();
        config.redis.connectTimeout = 60_000; // more than the test may take
        const error = await failure();
        expect(error.code).toBe("AH_REDIS_CONNECT");
        expect(error.message).toMatch(
          /: (cannot select database 99: )?ERR DB index is out of range$/,
        );
      },
    );

    test("after a reconnect: no command reaches another database, until redis has it again", async () => {
      const small = await new RedisServer().start({
        config: { databases: "2" },
      });
      const proxy = await new FlakyProxy(server.port).start();
      useRedisVariables({ REDIS_URL: `redis://127.0.0.1:${proxy.port}/3` });
      config.redis.operationTimeout = 500;
      await connectRedis();
      const { client } = api.redis.clients;
      const monitor = await new Redis(small.url).monitor();
      const seen: string[] = [];
      monitor.on("monitor", (_time, [name]: string[]) =>
        seen.push(name.toLowerCase()),
      );

      proxy.targetPort = small.port;
      proxy.cut();
      const results = [];
      while (seen.filter((name) => name === "select").length < 6)
        results.push(
          await client
            .set("key", "value")
            .then(String, (error: Error & { code?: string }) => error.code),
        );
      expect(new Set(results)).toEqual(new Set(["AH_REDIS_TIMEOUT"]));
      expect(new Set(seen)).toEqual(new Set(["select", "info"]));
      expect(logs.at("alert", /^Redis connection `\w+` error/)).toHaveLength(1);

      proxy.targetPort = server.port;
      await until(() => client.status === "ready");
      expect(await client.set("key", "value")).toBe("OK");
      await leaveCluster();
      monitor.disconnect();
      await proxy.stop();
      await small.stop();
    });
  });

  test("a limit that the project has set stays", async () => {
    useRedisClients(Redis, [server.url, { commandTimeout: 77, keepAlive: 5 }]);
    await connectRedis();
    expect(api.redis.clients.client.options).toMatchObject({
      commandTimeout: 77,
      keepAlive: 5,
    });
    await leaveCluster();
  });

  test("a server that is a replica now is left for the master behind the same address", async () => {
    const replica = await new RedisServer().start();
    const proxy = await new FlakyProxy(replica.port).start();
    useRedisVariables({ REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
    await connectRedis();
    const admin = new Redis(replica.url);
    await admin.replicaof("127.0.0.1", server.port);
    admin.disconnect();
    proxy.targetPort = server.port;
    await api.redis.clients.client.set("written", "on the master");
    expect(await api.redis.clients.client.del("written")).toBe(1);
    await leaveCluster();
    await proxy.stop();
    await replica.stop();
  });

  describe("a redis that stops answering", () => {
    afterEach(() => server.resume());

    test("an operation fails after operationTimeout", async () => {
      config.redis.operationTimeout = 300;
      await connectRedis();
      server.pause();
      const tookMs = await timed(() =>
        expect(api.redis.clients.client.get("x")).rejects.toThrow(
          "Command timed out",
        ),
      );
      expect(tookMs).toBeLessThan(3_000);
      server.resume();
      await leaveCluster();
    });

    test("is waited for by the boot for connectTimeout, however short an operation may be", async () => {
      config.redis.operationTimeout = 100;
      server.pause();
      const connecting = connectRedis();
      const severalOperations = performance.now() + 500;
      await until(() => performance.now() > severalOperations);
      server.resume();
      config.redis.operationTimeout = 10_000;
      for (const { options } of Object.values(api.redis.clients))
        options.commandTimeout = 10_000;
      await connecting;
      expect(await api.redis.clients.client.ping()).toBe("PONG");
      await leaveCluster();
    });

    test("connections that the boot replaces because they do not respond are no outage", async () => {
      const proxy = await new FlakyProxy(server.port).start();
      useRedisVariables({ REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
      server.pause();
      const connecting = connectRedis();
      // the second one was lost for longer than it takes to be an outage
      await until(() => proxy.accepted === 3, 30_000);
      server.resume();
      await connecting;
      expect(logs.at("alert", /./)).toEqual([]);
      await leaveCluster();
      await proxy.stop();
    }, 60_000);

    test("does not keep the server from stopping", async () => {
      await connectRedis();
      server.pause();
      expect(await timed(leaveCluster)).toBeLessThan(4_000);
      await untilClosed();
    });
  });

  test("an unavailable redis does not prevent the server from stopping", async () => {
    const gone = await new RedisServer().start();
    useRedisVariables({ REDIS_URL: gone.url });
    await connectRedis();
    await gone.stop();
    expect(await timed(leaveCluster)).toBeLessThan(4_000);
  });

  test("calls that wait for an answer end with the connection", async () => {
    config.general.rpcTimeout = 60_000;
    await connectRedis();
    const call = redis.doCluster("api.nobody.answers", [], undefined, true);
    const outcome = call.then(
      () => undefined,
      (error: { code: string }) => error.code,
    );
    await leaveCluster();
    expect(await outcome).toBe("AH_REDIS_TIMEOUT");
  });

  test("after a stop there can be a start", async () => {
    for (let i = 0; i < 3; i++) {
      await connectRedis();
      expect(await api.redis.clients.client.ping()).toBe("PONG");
      await leaveCluster();
    }
  });
});
