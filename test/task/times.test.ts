/** Which times and waits a job may be given. */
import { addTask, startTaskApp, type TaskApp } from "../support/taskApp";
import { describeOnEachEngine } from "../support/engines";
import { api, specHelper, task } from "../../src/index";

const HOUR_MS = 3_600_000;
const MINUTES_MS = 600_000;

describeOnEachEngine("times of jobs", () => {
  let app: TaskApp;

  beforeAll(async () => {
    app = await startTaskApp();
    addTask({ name: "job", run: async () => null });
  });

  beforeEach(async () => {
    await api.resque.queue.connection.redis.flushdb();
  });

  afterAll(async () => {
    await app.stop();
  });

  const written = async () => [
    ...(await specHelper.findEnqueuedTasks("job")),
    ...(await task.timestamps()),
  ];

  const refused: [name: string, value: any][] = [
    ["NaN", NaN],
    ["Infinity", Infinity],
    ["-Infinity", -Infinity],
    ["text", "tomorrow"],
    ["no text", ""],
    ["an invalid Date", new Date(NaN)],
    ["null", null],
    ["an object", {}],
    ["true", true],
    ["1e21", 1e21],
    ["more than a Date can have", 8.64e15 + 1],
    ["that as text", "8640000000000001"],
  ];

  test.each(refused)(
    "%s is not a time, and nothing is enqueued",
    async (_, value) => {
      const message = /must be a number of milliseconds, not /;
      await expect(task.enqueueAt(value, "job", {})).rejects.toThrow(message);
      await expect(task.enqueueIn(value, "job", {})).rejects.toThrow(message);
      for (const options of [{ at: value }, { in: value }])
        await expect(task.enqueueJob("job", {}, options)).rejects.toThrow(
          message,
        );
      expect(await written()).toEqual([]);
    },
  );

  test("an error names the value", async () => {
    await expect(task.enqueueAt(Infinity, "job")).rejects.toMatchObject({
      code: "AH_TASK",
      message:
        "the time of a job must be a number of milliseconds, not Infinity",
    });
    await expect(task.enqueueIn("soon", "job")).rejects.toThrow(
      'the wait of a job must be a number of milliseconds, not "soon"',
    );
  });

  test("a Date is no wait", async () => {
    const date: any = new Date();
    const message =
      "the wait of a job must be a number of milliseconds, not a Date";
    await expect(task.enqueueIn(date, "job", {})).rejects.toThrow(message);
    await expect(task.enqueueJob("job", {}, { in: date })).rejects.toThrow(
      message,
    );
    expect(await written()).toEqual([]);
  });

  test.each([
    ["a number", 4_000_000_000_000, 4_000_000_000_000],
    ["a fraction", 4_000_000_000_000.9, 4_000_000_000_000],
    ["a Date", new Date(4_000_000_000_000), 4_000_000_000_000],
    ["text", "4000000000000", 4_000_000_000_000],
    ["text that begins with a number", "4000000000000 ms", 4_000_000_000_000],
    ["the last time of all", 8.64e15, 8.64e15],
    ["a time in the past", 1_000_000, 1_000_000],
    ["a negative time", -5, 0],
  ])("%s is a time", async (_, value, ms) => {
    expect(await task.enqueueAt(value, "job", {})).toBe(true);
    expect(await task.timestamps()).toEqual([ms]);
    expect(await task.scheduledAt("default", "job", {})).toEqual([ms / 1000]);
  });

  test.each([
    ["a number", HOUR_MS, HOUR_MS],
    ["text", String(HOUR_MS), HOUR_MS],
    ["a negative number", -HOUR_MS, 0],
  ])("%s is a wait", async (_, value, ms) => {
    expect(await task.enqueueIn(value, "job", {})).toBe(true);
    const [timestamp] = await task.timestamps();
    expect(Math.abs(timestamp - Date.now() - ms)).toBeLessThan(MINUTES_MS);
  });

  test("a frequency may be text, as from the environment", async () => {
    const frequency = String(HOUR_MS) as unknown as number;
    addTask({ name: "ticking", frequency, run: async () => null });
    await task.enqueueRecurrentTask("ticking");
    const [timestamp] = await task.timestamps();
    expect(Math.abs(timestamp - Date.now() - HOUR_MS)).toBeLessThan(MINUTES_MS);
  });

  test("times in the past are due at once", async () => {
    await task.enqueueAt(-5, "job", { n: 1 });
    await task.enqueueAt(1_000_000, "job", { n: 2 });
    await task.enqueueIn(-5, "job", { n: 3 });
    const { store } = api.resque.queue.connection;
    expect((await store.promote(10)).moved).toHaveLength(3);
    expect(await task.queued("default")).toHaveLength(3);
  });
});
