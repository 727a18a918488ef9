/** What a node says and does while redis is away. */
import { addTask, startTaskApp, type TaskApp } from "../support/taskApp";
import { LogLines } from "../support/logLines";
import { useRedisVariables } from "../support/redisConfig";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { timed } from "../support/stopwatch";
import { until } from "../support/until";
import {
  api,
  cache,
  chatRoom,
  config,
  specHelper,
  task,
} from "../../src/index";

const LIMIT_MS = 60_000;
/** Retries are due while redis is away, in ms. */
const RETRY_MS = 1500;
/** A loaded machine is slow: operations may fail early only while redis does not respond. */
const PATIENT_MS = 5_000;
const IMPATIENT_MS = 500;

describeOnRedis("while redis is away", () => {
  const saved = { ...process.env };
  let server: RedisServer;
  let app: TaskApp;
  let logs: LogLines;
  let release: (() => void) | undefined;
  let ticks: number;
  /** How often each of these was tried: their first attempts fail. */
  let tries: Record<"retried" | "retriedByPlugin" | "failsMeanwhile", number>;
  let fail: () => void;

  beforeEach(async () => {
    jest.spyOn(console, "error").mockImplementation(() => undefined); // v29's line of the retry strategy
    server = new RedisServer();
    await server.start({
      config: { appendonly: "yes", appendfsync: "always" },
    });
    useRedisVariables({ REDIS_URL: server.url });
    release = undefined;
    ticks = 0;
    tries = { retried: 0, retriedByPlugin: 0, failsMeanwhile: 0 };
    const failing = new Promise<void>((resolve) => (fail = resolve));
    const failOnce = (name: keyof typeof tries, when?: Promise<void>) =>
      async function run() {
        if (++tries[name] > 1) return;
        await when;
        throw new Error("the first attempt");
      };
    const plugins = ["Retry"];
    const pluginOptions = { Retry: { retryLimit: 3, retryDelay: RETRY_MS } };
    app = await startTaskApp({
      tasks: {
        scheduler: true,
        minTaskProcessors: 1,
        maxTaskProcessors: 10,
        maxEventLoopDelay: 10_000,
        heartbeatTimeout: 600_000,
      },
      redis: {
        operationTimeout: PATIENT_MS,
        heartbeatInterval: 300,
        heartbeatTimeout: 600_000,
      },
      general: { rateLimit: { requests: 1000, perMs: 60_000 } },
      before: () => {
        addTask({
          name: "long",
          run: () => new Promise<void>((resolve) => (release = resolve)),
        });
        addTask({
          name: "ticking",
          frequency: 50,
          run: async () => void ticks++,
        });
        addTask({
          name: "local",
          scope: "all",
          frequency: 70,
          run: async () => null,
        });
        addTask({
          name: "retried",
          retry: { attempts: 3, backoff: "fixed", delay: RETRY_MS },
          run: failOnce("retried"),
        });
        addTask({
          name: "retriedByPlugin",
          plugins,
          pluginOptions,
          run: failOnce("retriedByPlugin"),
        });
        addTask({
          name: "failsMeanwhile",
          plugins,
          pluginOptions,
          run: failOnce("failsMeanwhile", failing),
        });
      },
    });
    logs = new LogLines();
    await task.enqueue("long", { a: 1 });
    await until(() => release !== undefined && ticks > 3, LIMIT_MS);
    logs.lines.length = 0;
  }, 2 * LIMIT_MS);

  afterEach(async () => {
    logs.stop();
    release?.();
    server.resume();
    await app.stop();
    await server.stop();
    process.env = { ...saved };
    jest.restoreAllMocks();
  }, LIMIT_MS);

  function limitOperations(ms: number): void {
    config.redis.operationTimeout = ms;
    for (const { options } of Object.values(api.redis.clients))
      options.commandTimeout = ms;
  }

  async function leave(how: string): Promise<void> {
    if (how !== "refuses writes") limitOperations(IMPATIENT_MS);
    if (how === "hangs") server.pause();
    else if (how === "refuses writes") await server.refuseWrites();
    else await server.kill();
  }

  async function comeBack(how: string): Promise<void> {
    limitOperations(PATIENT_MS);
    if (how === "hangs") server.resume();
    else if (how === "refuses writes") await server.acceptWrites();
    else await server.restart();
  }

  /** Lines that an operator sees. */
  const loud = () =>
    logs.lines
      .filter(
        ({ level, message }) =>
          !["debug", "info"].includes(level) || /^Redis/.test(message),
      )
      .filter(({ level }) => level !== "debug");

  test.each(["hangs", "is gone", "refuses writes"])(
    "which %s, there is one line at the begin and one at the end, no job fails, and each is tried again once",
    async (how) => {
      const failures: unknown[] = [];
      api.resque.multiWorker.on("failure", (...args) => failures.push(args));
      const { id } = await specHelper.buildConnection();
      await chatRoom.addMember(id, "defaultRoom");
      let compute!: () => void;
      const computing = new Promise<void>((resolve) => (compute = resolve));
      const began = jest.fn(() => computing);
      const wrapped = cache.wrap("wrapped", {}, began);
      await until(() => began.mock.calls.length > 0);
      for (const name of Object.keys(tries)) await task.enqueue(name, {});
      await until(() => Object.values(tries).every((count) => count > 0));
      // two were reported: they wait for their next attempt
      await until(async () => (await task.stats()).failed === "2");
      logs.lines.length = 0; // a failed attempt is logged
      await leave(how);
      fail();
      // everything that looks at redis has noticed it, some several times
      await until(() => logs.at("debug", /no heartbeat/).length > 2, LIMIT_MS);
      await until(
        () => logs.matching(/check of recurring tasks failed/).length > 0,
        LIMIT_MS,
      );
      await until(
        () => logs.matching(/task queue does not/).length > 0,
        LIMIT_MS,
      );
      await expect(cache.load("x")).rejects.toThrow();
      compute();
      await wrapped;
      for (let i = 0; i < 2; i++)
        expect(await specHelper.runAction("randomNumber")).toHaveProperty(
          "randomNumber",
        );
      const quiet = [/cannot save the computed/, /rateLimit cannot be counted/];
      for (const line of quiet) expect(logs.at("debug", line)).toHaveLength(1);
      release!();
      await comeBack(how);
      const before = ticks;
      await until(() => ticks > before + 3, LIMIT_MS);
      await until(
        () => Object.values(tries).every((count) => count > 1),
        LIMIT_MS,
      );
      await until(() => logs.at("notice", /./).length > 0, LIMIT_MS);
      await until(
        async () => Number((await task.stats()).processed) > before,
        LIMIT_MS,
      );
      const told = loud().map(({ level }) => level);
      expect(told).toEqual(["alert", "notice"]);
      expect(failures).toEqual([]);
      expect(await task.failedCount()).toBe(0);
      const twice = { retried: 2, retriedByPlugin: 2, failsMeanwhile: 2 };
      expect(tries).toEqual(twice);
    },
    4 * LIMIT_MS,
  );

  test.each(["hangs", "is gone"])(
    "which %s, a stop takes about a second",
    async (how) => {
      release!();
      await until(async () =>
        Object.values(await task.allWorkingOn()).every(
          (work) => work === "started" || work.payload.class !== "long",
        ),
      );
      await leave(how);
      const tookMs = await timed(() => app.process.stop());
      await comeBack(how);
      expect(tookMs).toBeLessThan(5000);
    },
    LIMIT_MS,
  );
});
