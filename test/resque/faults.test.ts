/** The failure matrix of the queue, with real processes: who dies or stands still when, and what becomes of the jobs. */
import * as resque from "node-resque";
import { uniqueKey } from "../../src/resque/jobText";
import { describeOnRedis } from "../support/redisServer";
import { timed } from "../support/stopwatch";
import { Cluster, removeCompiled, type Node } from "./processes/support";
import { jobText } from "./store/support";
import { until } from "./support";

const TTL = 800;
/** Within this a job of a dead worker is taken up again, in ms: the lease, the next beat, and what a busy machine adds. */
const TAKEN_UP_MS = TTL + TTL / 3 + 5000;

afterAll(removeCompiled);

describeOnRedis("processes that fail", () => {
  let cluster: Cluster;
  beforeEach(async () => {
    cluster = await new Cluster().open();
  });
  afterEach(() => cluster.close());

  const workers = (count: number, options = {}) =>
    cluster.workers(count, { heartbeatTimeout: TTL, ...options });

  test("a worker is killed in the middle of a job: it is taken up again within the lease, and counted once", async () => {
    const [victim, other] = await workers(2, { slots: 2 });
    await cluster.queue.enqueue("q", "effect", [1, 60_000]);
    await until(async () => (await cluster.counts("runs")).size === 1);
    const running = Object.entries(await cluster.queue.allWorkingOn()).find(
      ([, work]) => work !== "started",
    )!;
    const isVictim = running[0].includes(`:${victim.child.pid}+`);
    const tookMs = await timed(async () => {
      await (isVictim ? victim : other).kill();
      await until(async () => (await cluster.counts("runs")).get("1") === 2);
    });
    expect(tookMs).toBeLessThan(TAKEN_UP_MS);
    const left = isVictim ? other : victim;
    await until(() => left.count("reaped") > 0);
    const reaped = left.events.find(({ event }) => event === "reaped")!;
    expect(
      reaped.details[1].filter((one: any) => one.what === "requeued"),
    ).toHaveLength(1);
    // nothing of the dead process is left in the lists of workers
    expect(Object.keys(await cluster.queue.workers())).toHaveLength(2);
    expect(await cluster.redis.zcard("resque:ah:procs")).toBe(1);
  });

  test("all workers are killed: the next process that lives for a lease takes up their jobs", async () => {
    const [first] = await workers(1, { slots: 2 });
    await cluster.queue.enqueue("q", "locked", [1, 60_000]);
    await cluster.queue.enqueue("q", "narrow", [2, 60_000]);
    await until(async () => (await cluster.counts("runs")).size === 2);
    await first.kill();
    await workers(1, { slots: 2 });
    // the lock and the place of the dead do not keep them out
    await until(async () => {
      const runs = await cluster.counts("runs");
      return runs.get("1") === 2 && runs.get("2") === 2;
    });
  });

  test("a storm of kills loses no job and counts each once, beside a node-resque scheduler", async () => {
    const KILLS = 6;
    const JOBS = KILLS * 400;
    const nodes = await workers(3, { slots: 10 });
    const theirs = new resque.Scheduler({
      connection: { redis: cluster.redis as never, namespace: "resque" },
      timeout: 100,
      stuckWorkerTimeout: 3000,
      retryStuckJobs: true,
    });
    await theirs.connect();
    await theirs.start();
    const starting: Promise<Node[]>[] = [];
    for (let i = 0; i < KILLS; i++) {
      // a job that three kills hit would count as the cause of them
      if (i % 2 === 0)
        await until(async () => (await cluster.processed()) === 400 * i);
      await cluster.queue.enqueueMany(
        "q",
        "effect",
        Array.from({ length: 400 }, (_, n) => [400 * i + n, 20 + (n % 60)]),
      );
      await until(async () => (await cluster.processed()) > 400 * i + 100);
      await nodes.shift()!.kill();
      starting.push(workers(1, { slots: 10 }));
      if (nodes.length === 0) nodes.push(...(await starting.shift()!));
    }
    await Promise.all(starting);
    await until(async () => (await cluster.processed()) >= JOBS, 30_000);
    await theirs.end();
    const effects = await cluster.counts("effects");
    expect(effects.size).toBe(JOBS);
    expect(await cluster.processed()).toBe(JOBS);
    expect(await cluster.queue.failedCount()).toBe(0);
    expect(await cluster.queue.length("q")).toBe(0);
    // only what was killed between effect and report was done twice
    const twice = [...effects.values()].filter((count) => count > 1).length;
    expect(twice).toBeLessThanOrEqual(10 * KILLS);
  });

  test("a job that kills its worker fails after three deaths, and the jobs that run beside it do not", async () => {
    const { store } = cluster.queue.connection;
    const raw = jobText("q", "poison", 1);
    const unique = { key: uniqueKey("q", raw), class: "poison" };
    await store.enqueue("q", [raw], { unique });
    for (const n of [2, 3, 4])
      await cluster.queue.enqueue("q", "effect", [n, 300]);
    let alive = await workers(1, { slots: 4 });
    for (let deaths = 0; deaths < 3; deaths++) {
      await until(() => alive[0].child.signalCode === "SIGKILL");
      alive = await workers(1, { slots: 4 });
    }
    await until(async () => (await cluster.counts("effects")).size === 3);
    await until(async () => (await cluster.queue.failedCount()) === 1);
    const [failed] = await cluster.queue.failed(0, 0);
    expect(failed).toMatchObject({
      queue: "q",
      exception: "WorkerCrashed",
      payload: { class: "poison", queue: "q", args: [1] },
      backtrace: [],
    });
    expect(alive[0].child.signalCode).toBeNull();
    expect(await cluster.queue.removeFailed(failed)).toBe(1);
    const lock = `resque:ah:unique:${unique.key}`;
    await until(async () => (await cluster.redis.exists(lock)) === 0);
  });

  test("a worker whose event loop is blocked longer than its lease counts as alive", async () => {
    const [blocked, watching] = await workers(2, { slots: 1 });
    await cluster.queue.enqueue("q", "block", [1, 4 * TTL]);
    const all = [blocked, watching];
    await until(async () => (await cluster.processed()) === 1);
    expect((await cluster.counts("runs")).get("1")).toBe(1);
    for (const node of all) {
      expect(node.count("reaped")).toBe(0);
      expect(node.count("fenced")).toBe(0);
    }
  });

  test.each([
    ["stands still longer than it may", { stuckWorkerTimeout: TTL }, false],
    ["is cut off longer than its lease", {}, true],
  ])(
    "a process that %s is fenced: its late report counts nothing",
    async (_title, options, isCut) => {
      const [frozen] = await workers(1, { slots: 1, ...options });
      await cluster.queue.enqueue("q", "effect", [1, 50]);
      await until(async () => (await cluster.counts("runs")).size === 1);
      frozen.child.kill("SIGSTOP");
      const [other] = await workers(1, { slots: 1, ...options });
      if (isCut) await cutOff(frozen);
      await until(async () => (await cluster.processed()) === 1);
      await until(() => other.count("reaped") === 1);
      frozen.child.kill("SIGCONT");
      await until(() => frozen.count("fenced") === 1);
      expect((await cluster.counts("effects")).get("1")).toBe(2);
      expect(await cluster.processed()).toBe(1);
      // it goes on under a new registration
      await until(
        async () => (await cluster.redis.zcard("resque:ah:procs")) === 2,
      );
      await cluster.queue.enqueue("q", "effect", [2, 1]);
      await cluster.queue.enqueue("q", "effect", [3, 1]);
      await until(async () => (await cluster.processed()) === 3);
    },
  );

  /** A process that stands still answers nothing, but its connections stay: end them from the other side. */
  async function cutOff(node: Node): Promise<void> {
    const list = String(await cluster.redis.client("LIST"));
    for (const line of list.split("\n")) {
      const id = /^id=(\d+)/.exec(line)?.[1];
      if (id && line.includes(`:${node.child.pid}:`))
        await cluster.redis.client("KILL", "ID", id);
    }
  }

  test("SIGTERM lets running jobs end and leaves the others queued", async () => {
    const [node] = await workers(1, { slots: 1 });
    await cluster.queue.enqueue("q", "effect", [1, 200]);
    await cluster.queue.enqueue("q", "effect", [2, 200]);
    await until(async () => (await cluster.counts("runs")).size === 1);
    await node.kill("SIGTERM");
    expect(node.child.exitCode).toBe(0);
    expect(await cluster.processed()).toBe(1);
    expect(await cluster.queue.length("q")).toBe(1);
    expect(await cluster.queue.workers()).toEqual({});
    const keys = await cluster.redis.keys("resque:*");
    expect(keys.filter((key) => /worker|proc|owner|held/.test(key))).toEqual([
      "resque:stat:processed",
    ]);
  });

  test("killing schedulers while they move jobs loses and duplicates no job", async () => {
    const JOBS = 4000;
    const due = Date.now() + 1500;
    for (let start = 0; start < JOBS; start += 500)
      await Promise.all(
        Array.from({ length: 500 }, (_, i) =>
          cluster.queue.enqueueAt(due + (start % 3), "q", "effect", [
            start + i,
          ]),
        ),
      );
    const schedule = () =>
      cluster.start({ role: "scheduler", leaderLockTimeout: 1 });
    let leader = await schedule();
    for (let i = 0; i < 3; i++) {
      const next = schedule();
      const moved = await cluster.queue.length("q");
      await until(
        async () => (await cluster.queue.length("q")) > moved || moved === JOBS,
      );
      await leader.kill();
      leader = await next;
      await until(() => leader.count("leader") === 1);
    }
    await until(async () => (await cluster.queue.length("q")) === JOBS, 20_000);
    const jobs = await cluster.queue.queued("q", 0, -1);
    expect(new Set(jobs.map(({ args }) => args[0])).size).toBe(JOBS);
    const left = (await cluster.redis.keys("resque:*")).filter((key) =>
      /delayed|timestamps|ah:due/.test(key),
    );
    expect(left).toEqual([]);
  });
});

describeOnRedis("redis that fails", () => {
  let cluster: Cluster;
  beforeEach(async () => {
    cluster = await new Cluster().open({
      config: { appendonly: "yes", appendfsync: "always" },
    });
  });
  afterEach(() => cluster.close());

  test("after redis is killed and restarted with its data, no job is lost or duplicated, and work continues", async () => {
    // one that comes back so much later than the other is dead, by right
    const ttl = 3 * TTL;
    const outagesMs = [0, 0, 2 * ttl];
    const JOBS = outagesMs.length * 500;
    const nodes = await cluster.workers(2, {
      slots: 10,
      heartbeatTimeout: ttl,
    });
    for (const [i, downMs] of outagesMs.entries()) {
      await cluster.queue.enqueueMany(
        "q",
        "effect",
        Array.from({ length: 500 }, (_, n) => [500 * i + n, n % 10]),
      );
      await until(async () => (await cluster.processed()) > 500 * i + 100);
      await cluster.server.kill();
      await new Promise((resolve) => setTimeout(resolve, downMs));
      await cluster.server.restart();
    }
    await until(async () => (await cluster.processed()) >= JOBS, 30_000);
    expect((await cluster.counts("effects")).size).toBe(JOBS);
    expect(await cluster.processed()).toBe(JOBS);
    // who was cut off itself takes nobody for dead
    for (const node of nodes) expect(node.count("reaped")).toBe(0);
  });

  test("after redis was frozen for longer than the lease, work continues", async () => {
    const nodes = await cluster.workers(2, { slots: 2, heartbeatTimeout: TTL });
    for (let n = 0; n < 40; n++)
      await cluster.queue.enqueue("q", "effect", [n, 20]);
    await until(async () => (await cluster.processed()) > 4);
    cluster.server.pause();
    await new Promise((resolve) => setTimeout(resolve, 2 * TTL));
    cluster.server.resume();
    await until(async () => (await cluster.processed()) === 40, 20_000);
    const runs = [...(await cluster.counts("runs")).values()];
    expect(runs.every((count) => count === 1)).toBe(true);
    for (const node of nodes) expect(node.count("reaped")).toBe(0);
  });

  test("workers register again and continue after all data was deleted", async () => {
    const [node] = await cluster.workers(1, {
      slots: 2,
      heartbeatTimeout: TTL,
    });
    await cluster.redis.flushall();
    await cluster.queue.enqueue("q", "effect", [1, 1]);
    await until(async () => (await cluster.processed()) === 1);
    await until(
      async () => Object.keys(await cluster.queue.workers()).length === 2,
    );
    expect(node.count("reaped")).toBe(0);
  });
});
