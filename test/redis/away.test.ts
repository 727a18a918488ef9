/** A command that fails because redis is away has one code, in whichever way it fails. */
process.env.LOG_LEVEL = "emerg"; // what is logged is not looked at

import * as net from "node:net";
import { Cluster, Redis } from "ioredis";
import { api } from "../../src/api";
import { config } from "../../src/config/config";
import { ActionheroError, HttpError, isRedisAway } from "../../src/errors";
import { connectRedis, leaveCluster } from "../../src/redis/lifecycle";
import { markFailures } from "../../src/redis/commands";
import { useRedisClients, useRedisVariables } from "../support/redisConfig";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { until } from "../support/until";

const saved = { ...process.env };

function failureOf(work: Promise<unknown>): Promise<any> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describeOnRedis("commands that fail because redis is away", () => {
  const server = new RedisServer();

  beforeAll(async () => {
    jest.spyOn(console, "error").mockImplementation(() => undefined); // the line of the retry strategy
    await server.start();
  });

  beforeEach(() => useRedisVariables({ REDIS_URL: server.url }));

  afterEach(async () => {
    server.resume();
    await leaveCluster();
  });

  afterAll(async () => {
    await server.stop();
    process.env = saved;
  });

  async function expectAway(work: Promise<unknown>, text: string | RegExp) {
    const error = await failureOf(work);
    expect(error).toMatchObject({ code: "AH_REDIS_TIMEOUT" });
    expect(error.message).toMatch(text); // that of ioredis, which callers may compare
    expect(isRedisAway(error)).toBe(true);
  }

  test("a command without a reply in time has the code, also in a pipeline", async () => {
    config.redis.operationTimeout = 500;
    await connectRedis();
    server.pause();
    const { client } = api.redis.clients;
    const piped = client.pipeline().get("a").exec();
    await expectAway(client.get("a"), "Command timed out");
    for (const [error] of (await piped)!) expect(isRedisAway(error)).toBe(true);
  });

  test("a command has the code when all attempts to connect have failed", async () => {
    const options = { maxRetriesPerRequest: 1, retryStrategy: () => 10 };
    useRedisClients(Redis, [server.url, options]);
    await connectRedis();
    await server.kill();
    try {
      const { client } = api.redis.clients;
      await expectAway(client.get("a"), /^Reached the max retries/);
    } finally {
      await server.restart();
      for (const client of Object.values(api.redis.clients))
        await until(() => client.status === "ready");
    }
  });

  test("a command has the code when the client does not wait for a connection", async () => {
    useRedisClients(Redis, [server.url, { retryStrategy: () => 60_000 }]);
    await connectRedis();
    const { client } = api.redis.clients;
    client.options.enableOfflineQueue = false;
    client.disconnect(true);
    await until(() => client.status === "reconnecting");
    await expectAway(client.get("a"), /^Stream isn't writeable/);
  });

  test("a command of a closed client that a project made has the code", async () => {
    useRedisClients(() => new Redis(server.url), [], false);
    await connectRedis();
    const { client } = api.redis.clients;
    client.disconnect();
    await until(() => client.status === "end");
    await expectAway(client.get("a"), /^Connection is closed\.$/);
  });

  test("other errors keep what they are", async () => {
    await connectRedis();
    const { client } = api.redis.clients;
    await client.set("text", "x");
    const error = await failureOf(client.incr("text"));
    expect([error.name, error.code]).toEqual(["ReplyError", undefined]);
    expect(isRedisAway(error)).toBe(false);
  });
});

describe("replies", () => {
  let listener: net.Server;
  let client: Redis;
  let reply = "ERR";

  beforeAll(async () => {
    listener = net.createServer((socket) => {
      socket.on("error", () => undefined);
      // one for each command: several may come at once
      socket.on("data", (bytes) => {
        for (const _ of String(bytes).matchAll(/^\*/gm))
          socket.write(`-${reply}\r\n`);
      });
    });
    await new Promise<void>((resolve) => listener.listen(0, resolve));
    const { port } = listener.address() as net.AddressInfo;
    client = new Redis({ port, enableReadyCheck: false });
    client.on("error", () => undefined);
    markFailures(client);
    markFailures(client); // one client may be all three connections
  });

  afterAll(async () => {
    client.disconnect();
    await new Promise((resolve) => listener.close(resolve));
  });

  test.each([
    ["LOADING Redis is loading the dataset in memory", true],
    ["READONLY You can't write against a read only replica.", true],
    ["MASTERDOWN Link with MASTER is down", true],
    ["CLUSTERDOWN The cluster is down", true],
    ["BUSY Redis is busy running a script.", true],
    ["MISCONF Redis is configured to save RDB snapshots, but...", true],
    ["OOM command not allowed when used memory > 'maxmemory'.", true],
    [
      "ERR Error running script (call to f_1): @user_script:5: @user_script: 5: -OOM command not allowed when used memory > 'maxmemory'.",
      true,
    ],
    [
      "ERR Error running script (call to f_1): @user_script:5: @user_script: 5: -READONLY You can't write against a read only replica.",
      true,
    ],
    [
      "ERR Error running script (call to f_1): @user_script:5: WRONGTYPE x",
      false,
    ],
    ["BUSYGROUP Consumer Group name already exists", false],
    ["ERR unknown command", false],
    ["NOAUTH Authentication required.", true],
    ["WRONGPASS invalid username-password pair or user is disabled.", true],
    ["NOPERM this user has no permissions to run the 'get' command", false],
  ])("%s", async (text, isAway) => {
    reply = text;
    const error = await failureOf(client.get("a"));
    expect(error.message).toBe(text);
    expect(isRedisAway(error)).toBe(isAway);
  });

  test.each([
    "NOPERM this user has no permissions to run the 'evalsha' command",
    "NOPERM this user has no permissions to access one of the keys used as arguments",
    "ERR The user executing the script can't run this command or subcommand script: 1, on @user_script:1.",
    "ERR Error running script (call to f_1): @user_script:1: NOPERM this user has no permissions",
  ])("of a script: %s", async (text) => {
    reply = text;
    const error = await failureOf(client.evalsha("1", 0));
    expect(isRedisAway(error)).toBe(true);
  });
});

test("commands of a Cluster that cannot be reached have the code, too", async () => {
  const cluster = new Cluster([{ host: "127.0.0.1", port: 1 }], {
    clusterRetryStrategy: () => null,
  });
  cluster.on("error", () => undefined);
  markFailures(cluster as never);
  expect(await failureOf(cluster.get("a"))).toMatchObject({
    code: "AH_REDIS_TIMEOUT",
  });
  cluster.disconnect();
});

test("an error that has one of them as its cause counts, and no other", () => {
  const away = new ActionheroError("AH_REDIS_TIMEOUT", "away");
  const inline = new ActionheroError("AH_ACTION", "x", { cause: away });
  expect(isRedisAway(inline)).toBe(true);
  expect(isRedisAway(new HttpError(404, "x"))).toBe(false);
  expect(isRedisAway("AH_REDIS_TIMEOUT")).toBe(false);
  const circle: { cause?: unknown } = {};
  circle.cause = circle;
  expect(isRedisAway(circle)).toBe(false);
});

test("a subscription that fails over a new connection causes no unhandled rejection", async () => {
  let subscriptions = 0;
  const server = net.createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (data) => {
      const commands = data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)/g);
      for (const [, name] of commands) {
        if (name !== "subscribe")
          socket.write(name === "info" ? "$0\r\n\r\n" : "+OK\r\n");
        else if (++subscriptions === 1)
          socket.write("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await until(() => server.listening);
  const { port } = server.address() as net.AddressInfo;
  const client = new Redis(port, "127.0.0.1", {
    commandTimeout: 50,
    retryStrategy: () => 1,
  });
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", note);
  try {
    markFailures(client);
    await client.subscribe("a");
    const failures: boolean[] = [];
    const send = client.sendCommand.bind(client);
    client.sendCommand = (command, stream) => {
      const { reject } = command;
      command.reject = (error) => {
        reject.call(command, error);
        if (command.name === "subscribe")
          setImmediate(() => failures.push(true));
      };
      return send(command, stream);
    };
    client.stream.destroy();
    await until(() => failures.length > 0);
    expect(subscriptions).toBe(2);
    expect(unhandled).toEqual([]);
    // one that somebody waits for tells them
    await expect(client.subscribe("b")).rejects.toThrow("Command timed out");
  } finally {
    process.off("unhandledRejection", note);
    client.disconnect();
    server.close();
  }
});
