/** Workers that are listed although their process is gone. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { Redis } from "ioredis";
import type { Returned } from "../../src/resque/store/store";
import { uniqueKey } from "../../src/resque/jobText";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { Bench, until } from "./support";

describeOnRedis("workers without a process", () => {
  const server = new RedisServer();
  let redis: Redis;
  let bench: Bench;

  beforeAll(async () => {
    await server.start();
    redis = new Redis({ port: server.port });
  });

  beforeEach(() => {
    bench = new Bench({ client: () => redis });
  });

  afterEach(() => bench.close());

  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  test("orphaned workers are shown, and other processes requeue their jobs", async () => {
    const queue = await bench.queue();
    const { store } = queue.connection;
    const worker = {
      name: "gone:1+1",
      queues: "q",
      member: "gone:1+1:q",
      quoted: '"gone:1+1"',
    };
    await store.register("gone", 60_000, "gone");
    await store.join("gone", worker, 60_000);
    await queue.enqueue("q", "x", [1]);
    await store.exchange({
      process: "gone",
      number: 1,
      queues: ["q"],
      slots: [{ worker, outcome: { kind: "none" }, want: true }],
    });
    // a part of the data was lost
    await redis.del("resque:ah:proc:gone", "resque:ah:proc:gone:members");
    await redis.zrem("resque:ah:procs", "gone");
    expect(await queue.orphans()).toMatchObject([{ member: "gone:1+1:q" }]);

    const ran: number[] = [];
    const finder = await bench.worker(
      { x: (n: number) => void ran.push(n) },
      { name: "finder:1", queues: "q", heartbeatTimeout: 300 },
    );
    const repaired = once(finder, "repaired");
    await finder.start();
    const [jobs] = (await repaired) as [Returned[]];
    expect(jobs).toMatchObject([{ what: "requeued", member: "gone:1+1:q" }]);
    await until(() => ran.length === 1);
    expect(await queue.orphans()).toEqual([]);
    expect(Object.keys(await queue.workers())).toEqual(["finder:1"]);
  });

  test("a job that fails because a new worker has the name of its dead one releases its unique lock", async () => {
    const queue = await bench.queue();
    const { store } = queue.connection;
    const raw = JSON.stringify({ class: "x", queue: "q", args: [1] });
    const unique = { key: uniqueKey("q", raw), class: "x" };
    await store.enqueue("q", [raw], { unique });
    const worker = {
      name: "same:1+1",
      queues: "q",
      member: "same:1+1:q",
      quoted: '"same:1+1"',
    };
    await store.register("gone", 60_000, "gone");
    await store.join("gone", worker, 60_000);
    await store.exchange({
      process: "gone",
      number: 1,
      queues: ["q"],
      slots: [{ worker, outcome: { kind: "none" }, want: true }],
    });
    await redis.del("resque:ah:proc:gone", "resque:ah:proc:gone:members");
    await redis.zrem("resque:ah:procs", "gone");
    const crashes = createHash("sha1").update(`q${raw}`).digest("hex");
    await redis.set(`resque:ah:crash:${crashes}`, "9");

    const heir = await bench.worker(
      { x: () => undefined },
      { name: "same:1+1", queues: "q", heartbeatTimeout: 60_000 },
    );
    const repaired = once(heir, "repaired");
    await heir.start();
    const [jobs] = (await repaired) as [Returned[]];
    expect(jobs).toMatchObject([{ what: "failed", member: "same:1+1:q" }]);
    await until(
      async () => (await redis.keys("resque:ah:unique:*")).length === 0,
    );
    const [failed] = await queue.failed(0, -1);
    expect(failed.exception).toBe("WorkerCrashed");
    expect(failed.failed_at).not.toBe("");
  });

  test("orphaned workers are looked for once per lease, by any process", async () => {
    const { store } = (await bench.queue()).connection;
    const looked = () => redis.hget("resque:ah:orphan-sweep", "at");
    expect(await store.repairOrphans(60_000)).toEqual([]);
    const first = await looked();
    expect(Number(first)).toBeGreaterThan(0);
    expect(await store.repairOrphans(60_000)).toEqual([]);
    expect(await looked()).toBe(first);
  });

  test("many of them are repaired a share at a time, so that redis is free for others", async () => {
    const { store } = (await bench.queue()).connection;
    const count = 3000;
    const members = Array.from({ length: count }, (_, n) => `gone:1+${n}:q`);
    await redis.sadd("resque:workers", ...members);
    await redis.mset(members.flatMap((one) => [`resque:ah:owner:${one}`, "x"]));
    expect(await store.findOrphans()).toHaveLength(count);

    const share = await store.repairOrphans(60_000);
    expect(share.length).toBeGreaterThan(0);
    expect(share.length).toBeLessThan(count / 5);
    expect(await store.repairOrphans(60_000)).toEqual([]); // it is another process's turn
    let left = count - share.length;
    while (left > 0) left -= (await store.repairOrphans(1)).length;
    expect(await redis.scard("resque:workers")).toBe(0);

    await redis.sadd("resque:workers", ...members);
    await redis.mset(members.flatMap((one) => [`resque:ah:owner:${one}`, "x"]));
    expect(await store.repairOrphans()).toHaveLength(count);
  });

  test.each(["lost", "of a wrong type"])(
    "a registration that is %s is written again, and no other process takes the running job",
    async (how) => {
      const ran: string[] = [];
      let finish!: () => void;
      const finished = new Promise<void>((resolve) => (finish = resolve));
      const jobs = {
        x: async (name: string) => {
          ran.push(name);
          await finished;
        },
      };
      const queue = await bench.queue();
      const given = jest.fn();
      for (const name of ["one:1+1", "two:2+1"]) {
        const options = { name, queues: "q", heartbeatTimeout: 300 };
        const worker = await bench.startedWorker(jobs, options);
        for (const event of ["fenced", "reaped", "repaired"])
          worker.on(event, given);
        await queue.enqueue("q", "x", [name]);
      }
      await until(() => ran.length === 2);
      const keys = await registrations();
      expect(keys).toHaveLength(2);
      for (let round = 0; round < 3; round++) {
        await redis.del(keys);
        if (how !== "lost") for (const key of keys) await redis.set(key, "x");
        await redis.del("resque:ah:orphan-sweep"); // workers are looked for again
        for (const key of keys)
          await until(async () => (await redis.type(key)) === "hash");
      }
      finish();
      await until(async () => (await queue.stats()).processed === "2");
      expect(ran).toHaveLength(2);
      expect(given).not.toHaveBeenCalled();
    },
  );

  const registrations = async () =>
    (await redis.keys("resque:ah:proc:*")).filter((k) => !/members$/.test(k));
  const LOST: Record<string, (member: string) => Promise<unknown>> = {
    "their process's list of them": async () =>
      redis.del(await redis.keys("resque:ah:proc:*:members")),
    "their process's registration": async () =>
      redis.del(await registrations()),
    "their process's registration, and its lease": async () =>
      redis.del(...(await registrations()), "resque:ah:procs"),
    "their owners": (member) => redis.del(`resque:ah:owner:${member}`),
    "all that lists them": async (member) =>
      redis.del(
        ...(await redis.keys("resque:ah:proc:*:members")),
        `resque:ah:owner:${member}`,
        "resque:workers",
      ),
    "their listing, by hand": async (member) => {
      const record = await redis.get(`resque:worker:${member}`);
      const { store } = (await bench.queue()).connection;
      await store.removeWorker({ member, record }, "one:1+1");
    },
  };
  test.each(Object.keys(LOST))(
    "workers that lose %s go on",
    async (lost) => {
      const ran: number[] = [];
      let finish!: () => void;
      const finished = new Promise<void>((resolve) => (finish = resolve));
      const perform = async (n: number) => {
        ran.push(n);
        if (n === 1) await finished;
      };
      const queue = await bench.queue();
      const worker = await bench.startedWorker(
        { x: { perform, concurrency: 1 } },
        { name: "one:1+1", queues: "q", heartbeatTimeout: 60_000 },
      );
      await queue.enqueue("q", "x", [1]);
      await until(() => ran.length === 1);
      await LOST[lost]("one:1+1:q");
      finish();
      await queue.enqueue("q", "x", [2]);
      await until(() => ran.length === 2);
      await until(async () => !(await redis.exists("resque:worker:one:1+1:q")));
      await LOST[lost]("one:1+1:q"); // while it is idle
      await queue.enqueue("q", "x", [3]);
      await until(() => ran.length === 3);
      await worker.end();
      expect(ran).toEqual([1, 2, 3]);
      expect(await queue.length("q")).toBe(0);
      expect(await redis.keys("resque:worker:*")).toEqual([]);
    },
    20_000,
  );
});
