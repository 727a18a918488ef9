/** The commands for tasks, as programs and by their classes, on a real redis. */
import { TaskFailed } from "../../bin/methods/task/failed";
import { TaskList } from "../../bin/methods/task/list";
import { api, task } from "../../src/index";
import { describeOnEachEngine } from "../support/engines";
import { runCli } from "../support/runCli";
import { repositoryRoot } from "../support/temporaryProject";
import { addTask, startTaskApp, type TaskApp } from "../support/taskApp";

function failedEntry(name: string, a: number) {
  return {
    worker: "far:1",
    queue: "default",
    payload: { class: name, queue: "default", args: [{ a }] },
    exception: "Error",
    error: `number ${a}\nof many`,
    backtrace: ["    at here"],
    failed_at: new Date().toString(),
  };
}

describeOnEachEngine("commands for tasks", (engine) => {
  let app: TaskApp;

  beforeAll(async () => {
    app = await startTaskApp();
    addTask({ name: "clean", run: async () => null });
    addTask({
      name: "nightly",
      description: "at night",
      cron: "0 3 * * *",
      timeZone: "Europe/Paris",
      run: async () => null,
    });
    addTask({ name: "often", frequency: 1000, run: async () => null });
  });

  beforeEach(async () => {
    await api.resque.queue.connection.redis.flushdb();
  });

  afterAll(async () => {
    await app.stop();
  });

  async function fail(entries: object[]): Promise<void> {
    const { store } = api.resque.queue.connection;
    const far = { member: "far:1:*", record: null };
    for (const entry of entries)
      await store.removeWorker(far, "far:1", JSON.stringify(entry));
  }

  async function printed(
    command: { run(data: any): Promise<boolean> },
    params: object = {},
  ): Promise<string> {
    const print = jest.spyOn(console, "log").mockImplementation(() => {});
    try {
      expect(await command.run({ params })).toBe(true);
      return print.mock.calls.map(([text]) => text).join("\n");
    } finally {
      print.mockRestore();
    }
  }

  test("task-list", async () => {
    const text = await printed(new TaskList());
    expect(text).toMatch(/^clean +default +when enqueued +clean$/m);
    expect(text).toMatch(
      /^nightly +default +0 3 \* \* \* \(Europe\/Paris\) +at night$/m,
    );
    expect(text).toMatch(/^often +default +every 1000 ms +often$/m);
    const listed = JSON.parse(await printed(new TaskList(), { json: true }));
    expect(listed.map(({ name }: any) => name)).toEqual([
      "clean",
      "nightly",
      "often",
      "runAction",
    ]);
    expect(listed[1]).toMatchObject({
      queue: "default",
      cron: "0 3 * * *",
      timeZone: "Europe/Paris",
    });
  });

  test("task-list shows orphaned workers", async () => {
    expect(await printed(new TaskList())).not.toContain("process is gone");
    const orphans = jest
      .spyOn(api.resque.queue, "orphans")
      .mockResolvedValue([
        { member: "far:1+1:*" },
        { member: "far:1+2:*", record: '{"queue":"q"}' },
      ]);
    const text = await printed(new TaskList());
    expect(text).toMatch(/^far:1\+1:\* +no job$/m);
    expect(text).toMatch(/^far:1\+2:\* +\{"queue":"q"\}$/m);
    expect((await task.details()).orphans).toEqual(["far:1+1:*", "far:1+2:*"]);
    orphans.mockRestore();
  });

  test("task-failed lists, oldest first, by task and up to a limit", async () => {
    expect(await printed(new TaskFailed(), { limit: 100 })).toBe("(none)");
    await fail([
      failedEntry("clean", 1),
      failedEntry("often", 2),
      failedEntry("clean", 3),
    ]);
    const text = await printed(new TaskFailed(), { limit: 100 });
    expect(text.split("\n")).toHaveLength(5);
    expect(text).toMatch(/default +clean +\{"a":1\} +number 1 of many$/m);
    const json = async (params: object) =>
      JSON.parse(
        await printed(new TaskFailed(), { json: true, ...params }),
      ).map(({ payload }: any) => payload.args[0].a);
    expect(await json({ limit: 0 })).toEqual([1, 2, 3]);
    expect(await json({ limit: 2 })).toEqual([1, 2]);
    expect(await json({ limit: 100, name: "clean" })).toEqual([1, 3]);
    expect(await task.failedCount()).toBe(3);
  });

  test("task-failed pages through a long list", async () => {
    await fail(Array.from({ length: 250 }, (_, a) => failedEntry("clean", a)));
    expect(await printed(new TaskFailed(), { limit: 0, remove: true })).toBe(
      "removed: 250",
    );
    expect(await task.failedCount()).toBe(0);
  });

  test("task-failed --retry enqueues again, --remove only removes", async () => {
    await fail([
      failedEntry("clean", 1),
      failedEntry("often", 2),
      failedEntry("clean", 3),
    ]);
    const change = (params: object) =>
      printed(new TaskFailed(), { limit: 100, ...params });
    expect(await change({ retry: true, name: "clean" })).toBe(
      "enqueued again: 2",
    );
    expect(
      (await task.queued("default", 0, -1)).map(({ args }) => args[0].a),
    ).toEqual([1, 3]);
    expect(await change({ remove: true })).toBe("removed: 1");
    expect(await task.failedCount()).toBe(0);
    await expect(
      new TaskFailed().run({ params: { limit: 1, retry: true, remove: true } }),
    ).rejects.toThrow("--retry and --remove exclude each other");
  });

  engine.only(
    "redis",
    "as programs of their own see the queue of this test on a server only",
    () => {
      /** The program, on the redis of this suite. */
      const here = (...words: string[]) =>
        runCli(words, {
          cwd: repositoryRoot,
          env: { REDIS_URL: `${engine.server!.url}/1`, REDIS_DB: undefined },
        });

      test("the programs: run, list and failed, in both spellings", async () => {
        const ran = await here(
          "task",
          "run",
          "runAction",
          "-a",
          '{"action":"randomNumber"}',
        );
        expect(JSON.parse(ran.stdout).randomNumber).toEqual(expect.any(Number));
        expect(ran.exitCode).toBe(0);

        const wrong = await here("task-run", "nothing");
        expect(wrong.stdout).toBe("");
        expect(wrong.stderr).toContain("Error: there is no task `nothing`");
        expect(wrong.exitCode).toBe(1);

        const listed = await here("task", "list", "--json");
        expect(JSON.parse(listed.stdout)[0].name).toBe("runAction");

        await here("task", "enqueue", "--name=runAction");
        const failed = await here("task", "failed", "--json");
        expect(JSON.parse(failed.stdout)).toEqual([]);
      }, 60_000);
    },
  );
});
