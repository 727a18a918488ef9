/** The functions of version 3 on `api`, on both engines. */
process.env.PORT = "0";

import { api as core, chatRoom, config, Process, task } from "../../src/index";
import { installLegacyApi } from "../../src/legacy";
import { describeOnEachEngine } from "../support/engines";
import { LogLines } from "../support/logLines";
import { MemoryServer } from "../support/memoryServer";
import { addTask } from "../support/taskApp";
import { until } from "../support/until";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const api = core as any;

/** What a function tells its callback. */
const told = (call: (next: (...values: any[]) => void) => unknown) =>
  new Promise<any[]>((resolve) => void call((...values) => resolve(values)));

describeOnEachEngine("the functions of version 3", (engine) => {
  const app = new Process();
  let lines: LogLines;

  beforeAll(async () => {
    await app.initialize();
    installLegacyApi();
    installLegacyApi(); // again, as after a restart
    await app.start();
    lines = new LogLines();
  });
  afterEach(() => {
    lines.lines.length = 0;
  });
  afterAll(async () => {
    lines.stop();
    await app.stop();
    delete api.cache;
  });

  describe("api.cache", () => {
    test("save, load and destroy pass results to their callbacks", async () => {
      const before = Date.now();
      expect(
        await told((next) => api.cache.save(api, "a", { b: 1 }, 5000, next)),
      ).toEqual([true]);
      const [value, expires, created, read] = await told((next) =>
        api.cache.load(api, "a", next),
      );
      expect(value).toEqual({ b: 1 });
      expect(created).toBeGreaterThanOrEqual(before);
      expect(Math.abs(expires - created - 5000)).toBeLessThan(1000);
      expect(read).toBeNull();
      for (const there of [true, false])
        expect(await told((next) => api.cache.destroy(api, "a", next))).toEqual(
          [there],
        );
      expect(await told((next) => api.cache.load(api, "a", next))).toEqual([
        null,
        null,
        null,
        null,
      ]);
    });

    test("null never expires", async () => {
      await api.cache.save(api, "ever", 1, null);
      const { value, expireTimestamp } = await api.cache.load(api, "ever");
      expect([value, expireTimestamp]).toEqual([1, null]);
    });

    test("the time of the last read, when it is asked for", async () => {
      Object.assign(config.general, { cacheTrackReads: true });
      await api.cache.save(api, "read", 1, 5000);
      expect((await api.cache.load(api, "read")).readAt).toBeNull();
      const { readAt } = await api.cache.load(api, "read");
      expect(Date.now() - readAt).toBeLessThan(5000);
      const [key] = await engine.client().keys("*read:readAt");
      expect(await engine.client().pttl(key)).toBeGreaterThan(0);
    });

    test("failures are passed to the callback, and logged; without a callback they are thrown", async () => {
      expect(
        await told((next) => api.cache.save(api, "x", 1, NaN, next)),
      ).toEqual([false]);
      expect(lines.matching(/version 3 failed/)).toHaveLength(1);
      await expect(api.cache.save(api, "x", 1, NaN)).rejects.toThrow(/number/);
    });

    test("failures without a callback are logged, and cause no unhandled rejection", async () => {
      const unhandled = jest.fn();
      process.on("unhandledRejection", unhandled);
      const gone = {
        sendMessage: async () => {
          throw new Error("gone");
        },
      };
      api.cache.save(api, "x", 1, NaN);
      api.tasks.enqueue(api, "no", null, {});
      api.chatRoom.socketRoomBroadcast(api, { id: "a", rooms: [] }, "hello");
      api.sendSocketMessage(api, gone, "hello");
      await until(() => lines.matching(/version 3 failed/).length === 4);
      await new Promise(setImmediate); // node tells of them after a turn
      process.off("unhandledRejection", unhandled);
      expect(unhandled).not.toHaveBeenCalled();
    });
  });

  describe("api.tasks", () => {
    beforeAll(() => {
      addTask({ name: "old", run: async (params: any) => params });
    });
    afterEach(() => api.resque.queue.delQueue("default"));

    test("enqueue now, for the past, and for later", async () => {
      const params = { a: 1 };
      for (const at of [null, undefined, 0, Date.now() - 1000])
        expect(
          await told((next) => api.tasks.enqueue(api, "old", at, params, next)),
        ).toEqual([true]);
      const queued = await task.queued("default", 0, 10);
      expect(queued.map((job: any) => job.args)).toEqual(
        new Array(4).fill([params]),
      );
      const later = Date.now() + 60_000;
      expect(await api.tasks.enqueue(api, "old", later, params)).toBe(true);
      const [at] = await task.scheduledAt("default", "old", params);
      expect(Math.abs(at * 1000 - later)).toBeLessThanOrEqual(1000);
      await task.delDelayed("default", "old", params);
    });

    test("a task that does not exist", async () => {
      expect(
        await told((next) => api.tasks.enqueue(api, "no", null, {}, next)),
      ).toEqual([false]);
      await expect(api.tasks.enqueue(api, "no", null, {})).rejects.toThrow(
        "task no not found",
      );
    });

    test("run passes the result", async () => {
      expect(
        await told((next) => api.tasks.run(api, "old", { a: 1 }, next)),
      ).toEqual([{ a: 1 }]);
      expect(await told((next) => api.tasks.run(api, "no", {}, next))).toEqual([
        null,
      ]);
    });

    test("runAction takes the params of the action beside its name", async () => {
      const flat = { action: "randomNumber", other: 1 };
      const result = await api.tasks.run(api, "runAction", flat);
      expect(result.randomNumber).toBeGreaterThanOrEqual(0);
    });
  });

  describe("api.chatRoom", () => {
    let memory: MemoryServer;
    beforeAll(() => {
      memory = new MemoryServer().install();
    });

    test("socketRoomBroadcast, socketRoomStatus, sendSocketMessage", async () => {
      config.general.defaultChatRoom = undefined;
      const speaker = await memory.connect();
      const listener = await memory.connect();
      for (const client of [speaker, listener])
        await client.verb("roomAdd", "otherRoom");
      await api.chatRoom.socketRoomBroadcast(api, speaker.connection, "hello");
      config.general.defaultChatRoom = "otherRoom";
      await api.chatRoom.socketRoomBroadcast(api, null, "from the server");
      const heard = await listener.received(2);
      expect(heard.map(({ message }) => message)).toEqual([
        "hello",
        "from the server",
      ]);
      const [status] = await told((next) =>
        api.chatRoom.socketRoomStatus(api, "otherRoom", next),
      );
      expect(status.membersCount).toBe(2);
      expect(
        await told((next) => api.chatRoom.socketRoomStatus(api, "no", next)),
      ).toEqual([null]);
      await api.sendSocketMessage(api, listener.connection, { a: "message" });
      expect(await listener.received(3)).toContainEqual({ a: "message" });
      config.general.defaultChatRoom = undefined;
      for (const client of [speaker, listener]) await client.quit();
      expect(await chatRoom.exists("otherRoom")).toBe(true);
    });
  });

  test("postVariables, configData, utils, log", () => {
    expect(api.postVariables).toBe(api.params.postVariables);
    expect(api.configData.general.serverName).toBe(config.general.serverName);
    expect(api.utils.arrayUnique([1, 1])).toEqual([1]);
    api.log("something", "rainbow");
    expect(lines.at("info", /^something$/)).toHaveLength(1);
  });
});
