/** What clients read while redis is away, in both profiles. */
process.env.LOG_LEVEL = "emerg"; // what is logged is looked at, not shown
process.env.AUTOMATIC_ROUTES = "get";

import { Redis } from "ioredis";
// first: it enables the socket server before the configuration is built
import { closeAll, SocketPeer } from "../support/socketApp";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { LogLines } from "../support/logLines";
import { useRedisVariables } from "../support/redisConfig";
import { addActions, startWebApp, type WebApp } from "../support/webApp";
import { connectWebsocket } from "../support/websocketClient";
import {
  action,
  api,
  cache,
  chatRoom,
  config,
  HttpError,
  redis,
} from "../../src/index";
import { until } from "../support/until";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const AWAY = "the server is temporarily unavailable";

describeOnRedis("while redis is away", () => {
  const server = new RedisServer();
  let app: WebApp;
  let lines: LogLines;

  beforeAll(async () => {
    jest.spyOn(console, "error").mockImplementation(() => undefined); // the line of the retry strategy
    lines = new LogLines();
    await server.start();
    useRedisVariables({ REDIS_URL: server.url });
    Object.assign(config.socket, { port: 0, bindIP: "127.0.0.1" });
    config.health.enabled = true;
    app = await startWebApp();
    // the boot may take longer
    for (const client of Object.values(api.redis.clients))
      client.options.commandTimeout = 500;
    addActions({
      given: { run: () => Promise.reject(new HttpError(404, "no such thing")) },
      inline: { run: () => action.run("cacheTest", 1, KEYS) },
    });
  }, 60_000);

  afterAll(async () => {
    await app.stop();
    await server.stop();
    lines.stop();
  });

  afterEach(() => {
    server.resume();
  });

  const KEYS = { key: "abc", value: "def" };
  const CACHE_TEST = "/api/cacheTest?key=abc&value=def";

  test("version 29's text and status are those of the command that failed", async () => {
    server.pause();
    const { status, json } = await app.ask(CACHE_TEST);
    expect([status, json.error]).toEqual([500, "Command timed out"]);
  }, 60_000);

  test.each(["all", "intended"] as const)(
    "one status and one text, however a command fails (exposeMessages: %s)",
    async (exposeMessages) => {
      config.errors.exposeMessages = exposeMessages;
      config.errors.redisAway = () => AWAY;
      config.web.errorStatus = { redisAway: 503 };
      const closed = new Error("Connection is closed."); // as `markFailures` leaves it
      Object.assign(closed, { code: "AH_REDIS_TIMEOUT" });
      server.pause();
      lines.lines.length = 0;
      const slow = await app.ask(CACHE_TEST);
      const inline = await app.ask("/api/inline");
      const load = jest.spyOn(cache, "save").mockRejectedValue(closed);
      const lost = await app.ask(CACHE_TEST);
      load.mockRestore();
      for (const { status, json, headers } of [slow, lost]) {
        expect([status, json.error]).toEqual([503, AWAY]);
        expect(headers["retry-after"]).toBe("1");
      }
      expect([inline.status, inline.json.error]).toEqual([
        503,
        `Error: ${AWAY}`, // as for all errors of actions that others run
      ]);
      // the log has what it was
      const logged = lines.lines.filter(({ errorId }) => errorId);
      expect(logged.map(({ error }) => error)).toEqual(
        expect.arrayContaining([
          "Error: Command timed out",
          "Error: Connection is closed.",
        ]),
      );
      const other = await app.ask("/api/given");
      expect([other.status, other.json.error]).toEqual([404, "no such thing"]);
    },
    60_000,
  );

  test("a request waits once, however many commands it sends", async () => {
    const { client, tasks } = api.redis.clients;
    await until(() =>
      Promise.all([client.ping(), tasks.ping()]).catch(() => undefined),
    );
    tasks.options.commandTimeout = client.options.commandTimeout = 2_000;
    const waited: string[] = [];
    const commands = {
      cache: () => cache.save("a", 1),
      raw: () => client.set("a", 1),
      tasks: () => tasks.get("a"),
      room: () => chatRoom.add("another"),
      pipeline: () =>
        client
          .pipeline()
          .set("b", 1)
          .exec()
          .then((replies) => Promise.reject(replies![0][0]!)),
      queue: () => api.resque.queue.length("any"),
    };
    addActions({
      several: {
        run: async () => {
          for (const [name, command] of Object.entries(commands)) {
            let isOver = false;
            const outcome =
              expect(command()).rejects.toThrow("Command timed out");
            void outcome.then(() => (isOver = true));
            for (let turn = 0; turn < 5; turn++)
              await new Promise((resolve) => setImmediate(resolve));
            if (!isOver) waited.push(name);
            await outcome;
          }
        },
      },
    });
    server.pause();
    const ping = expect(tasks.ping()).rejects.toThrow(); // as the watchdog does
    try {
      expect((await app.ask("/api/several")).status).toBe(200);
      expect(waited).toEqual(["cache"]);
      await ping;
    } finally {
      tasks.options.commandTimeout = client.options.commandTimeout = 500;
      server.resume();
      await until(() => tasks.ping());
    }
  }, 60_000);

  test("a message waits once for a subscriber that is away", async () => {
    const { client, subscriber } = api.redis.clients;
    await until(() => client.ping().catch(() => undefined));
    server.pause();
    subscriber.disconnect(true);
    const publish = () => redis.publish({ messageType: "any" });
    await expect(publish()).rejects.toThrow();
    await until(async () => {
      let isOver = false;
      const published = publish().catch(() => (isOver = true));
      for (let turn = 0; turn < 5; turn++)
        await new Promise((resolve) => setImmediate(resolve));
      const wasOver = isOver;
      await published;
      return wasOver;
    });
    server.resume();
    await until(() => publish().catch(() => undefined));
  }, 60_000);

  test("websockets and TCP connections get the same text", async () => {
    config.errors.redisAway = () => AWAY;
    const client = await connectWebsocket();
    const peer = await SocketPeer.connect();
    await peer.next();
    server.pause();
    const answers = await Promise.all([
      client.action("cacheTest", KEYS),
      peer.ask(JSON.stringify({ action: "cacheTest", params: KEYS })),
    ]);
    server.resume();
    expect(answers.map(({ error }) => error as unknown)).toEqual([AWAY, AWAY]);
    client.close();
    await closeAll();
  }, 60_000);

  test("a user that may no longer run scripts is an outage: one line, 503, not ready, until it may", async () => {
    config.errors.redisAway = () => AWAY;
    config.web.errorStatus = { redisAway: 503 };
    config.health.cacheFor = 0;
    await until(async () => (await app.ask(CACHE_TEST)).status === 200);
    await until(async () => (await app.ask("/readyz")).status === 200);
    const admin = new Redis(server.url);
    await admin.acl("SETUSER", "admin", "on", "nopass", "~*", "&*", "+@all");
    await admin.auth("admin", "any");
    lines.lines.length = 0;
    await admin.acl("SETUSER", "default", "-eval", "-evalsha");
    for (let n = 0; n < 3; n++) {
      const { status, json } = await app.ask(CACHE_TEST);
      expect([status, json.error]).toEqual([503, AWAY]);
    }
    const { status, json } = await app.ask("/readyz");
    expect([status, json.checks.redis.status]).toEqual([503, "failed"]);
    // by the next heartbeat
    await until(() => lines.at("alert", /redis refuses our user/).length > 0);
    expect(lines.at("alert", /./)).toHaveLength(1);
    await admin.acl("SETUSER", "default", "+eval", "+evalsha");
    await until(async () => (await app.ask("/readyz")).status === 200);
    expect((await app.ask(CACHE_TEST)).status).toBe(200);
    await until(() => lines.at("notice", /redis is back/).length > 0, 30_000);
    expect(lines.at("alert", /./)).toHaveLength(1);
    admin.disconnect();
  }, 60_000);

  test("the status action reports the outage before the command has failed", async () => {
    api.redis.clients.tasks.options.commandTimeout = 60_000;
    server.pause();
    try {
      const { status, json } = await app.ask("/api/status");
      expect(status).toBe(200);
      expect(json).toMatchObject({
        nodeStatus: "Node Unhealthy",
        problems: ["redis does not respond"],
      });
      expect(json.resqueTotalQueueLength).toBeUndefined();
      config.general.introspection = false;
      const bare = await app.ask("/api/status");
      expect([bare.status, bare.json.status]).toEqual([503, "unhealthy"]);
    } finally {
      api.redis.clients.tasks.options.commandTimeout = 500;
    }
  }, 30_000);
});
