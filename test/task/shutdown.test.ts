/** The stop of a server with requests and jobs in flight. */
import type * as http from "node:http";
import type { AddressInfo } from "node:net";
import { addTask, startTaskApp, type TaskApp } from "../support/taskApp";
import { describeOnEachEngine } from "../support/engines";
import { timed } from "../support/stopwatch";
import { until } from "../support/until";
import { addActions, ask, type Answer } from "../support/webApp";
import { api, config, task } from "../../src/index";

describeOnEachEngine("a stop with a request and a job in flight", (engine) => {
  const release: Array<(result: unknown) => void> = [];
  const wait = () => new Promise((resolve) => release.push(resolve));

  /** A server that works at one job and answers one request; both wait for their release. */
  async function startBusy(
    shutdownTimeout: number,
  ): Promise<{ app: TaskApp; answer: Promise<Answer> }> {
    release.length = 0;
    const app = await startTaskApp({
      tasks: {
        queues: ["default"],
        minTaskProcessors: 1,
        maxTaskProcessors: 1,
      },
      before: () => {
        config.general.shutdownTimeout = shutdownTimeout;
        addTask({ name: "slow", run: wait });
        addTask({ name: "late", run: async () => null });
      },
    });
    await task.delQueue("default");
    await task.delQueue("other");
    addActions({
      slow: {
        run: async () => {
          await wait();
          await task.enqueue("late", { a: 1 }, "other");
          return { answered: true };
        },
      },
    });
    await task.enqueue("slow", { a: 1 });
    await until(() => release.length === 1);
    const server = api.servers.servers.web.server as http.Server;
    const answer = ask((server.address() as AddressInfo).port, "/api/slow");
    answer.catch(() => undefined);
    await until(() => release.length === 2);
    return { app, answer };
  }

  /** What redis holds afterwards, seen by the next server. */
  async function queuedAfterwards(queue: string): Promise<unknown[]> {
    const next = await startTaskApp();
    const jobs = await task.queued(queue, 0, -1);
    await next.stop();
    return jobs.map((job) => job.args[0] as unknown);
  }

  test("request and job end before the stop, and what the request enqueues is kept", async () => {
    const { app, answer } = await startBusy(10_000);
    const succeeded = new Promise((resolve) =>
      api.resque.multiWorker.once("success", (_id, _queue, _job, result) =>
        resolve(result),
      ),
    );
    const stopped = app.process.stop();
    for (const one of release) one("finished");
    expect((await answer).json.answered).toBe(true);
    expect(await succeeded).toBe("finished");
    await stopped;
    expect(await queuedAfterwards("other")).toEqual([{ a: 1 }]);
    expect(await queuedAfterwards("default")).toEqual([]);
  });

  test("a request and a job that do not end share one deadline, and the job is requeued", async () => {
    const { app, answer } = await startBusy(2000);
    const begin = performance.now();
    const tookMs = await timed(() => app.process.stop());
    expect(performance.now() - begin).toBeGreaterThan(1900);
    expect(tookMs).toBeLessThan(3900);
    await expect(answer).rejects.toThrow();
    expect(await queuedAfterwards("default")).toEqual([{ a: 1 }]);
    for (const one of release) one("too late");
  });

  engine.only("redis", "as the embedded engine cannot go away", () => {
    test.each(["hangs", "is gone"])(
      "a stop ends when redis %s, with a job in flight",
      async (what) => {
        const { app, answer } = await startBusy(500);
        const scheduler = config.tasks.scheduler;
        config.tasks.scheduler = true;
        await api.resque.startScheduler();
        config.tasks.scheduler = scheduler;
        await until(async () => (await task.details()).leader !== null);
        if (what === "hangs") engine.server!.pause();
        else await engine.server!.kill();
        try {
          expect(await timed(() => app.process.stop())).toBeLessThan(15_000);
        } finally {
          if (what === "hangs") engine.server!.resume();
          else await engine.server!.restart();
          await engine.client().ping();
          for (const one of release) one("too late");
        }
        await expect(answer).rejects.toThrow();
      },
      40_000,
    );
  });
});
