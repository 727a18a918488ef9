/** What only the store on redis has to promise: repeated and late calls, a full redis, keys of wrong types, other programs. */
import { Redis } from "ioredis";
import { RedisStore } from "../../../src/resque/store/redisStore";
import {
  NO_OUTCOME,
  workerIdentity,
  type Effect,
  type ExchangeSlot,
  type QueuedJob,
  type WorkerIdentity,
} from "../../../src/resque/store/store";
import { describeOnRedis, RedisServer } from "../../support/redisServer";
import { until } from "../../support/until";
import { Actor, jobText, movableClock, SUCCESS } from "./support";

describeOnRedis("the store on redis", () => {
  const server = new RedisServer();
  let redis: Redis;
  let store: RedisStore;

  beforeAll(async () => {
    await server.start();
    redis = new Redis({ port: server.port });
  });
  beforeEach(async () => {
    await redis.config("SET", "maxmemory", "0");
    await redis.flushall();
    store = new RedisStore(redis, { prefix: "resque:" });
  });
  afterEach(() => store.close());
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  const job = (...args: unknown[]) => ({
    queue: "q",
    raw: jobText("q", "a", ...args),
  });

  describe("calls that arrive twice", () => {
    const client = () => {
      const twice = new Redis({ port: server.port });
      const send = twice.evalsha.bind(twice) as (
        ...args: unknown[]
      ) => Promise<unknown>;
      const sendTwice = async (...args: unknown[]) => {
        const replies = await Promise.allSettled([
          send(...args),
          send(...args),
        ]);
        const [first, second] = replies as PromiseFulfilledResult<unknown>[];
        if (replies[0].status === "fulfilled")
          // the clock goes on, everything else is the same
          expect(withoutTime(second.value)).toEqual(withoutTime(first.value));
        return send(...args);
      };
      (twice as unknown as { evalsha: unknown }).evalsha = sendTwice;
      return twice;
    };
    const withoutTime = (reply: unknown) =>
      Array.isArray(reply) ? (reply[1] as unknown) : Math.sign(reply as number);

    test("take effect once, and are answered alike", async () => {
      const repeating = client();
      const other = new RedisStore(repeating, { prefix: "resque:" });
      try {
        await Promise.all(
          Array.from({ length: 60 }, (_, n) => other.enqueue("q", [String(n)])),
        );
        expect(await redis.llen("resque:queue:q")).toBe(60);
        expect(await other.removeJobs("q", ["1", "2"])).toBe(2);
        const due = { inMs: 60_000 };
        expect(await other.delay(job(), due)).toMatchObject({ state: "added" });
        expect(await other.removeDelayed(job().raw)).toHaveLength(1);
        expect(await other.countRetry("resque-retry:a")).toBe(0);
        expect(await other.countRetry("resque-retry:a")).toBe(1);
        const lock = { key: "resque:lock:a", seconds: 10 };
        expect(await other.takeLock(lock)).toBeDefined();
        const keys = await redis.keys("resque:ah:ops:*");
        expect(keys).toHaveLength(2);
        for (const key of keys) {
          expect(await redis.pttl(key)).toBeGreaterThan(10_000);
          expect(await redis.pttl(key)).toBeLessThanOrEqual(20_000);
        }
        // only replies that may still be asked for are remembered
        const replies = keys.find((key) => key.endsWith(":replies"))!;
        expect(await redis.hlen(replies)).toBe(1);
      } finally {
        other.close();
        repeating.disconnect();
      }
    });

    test("are remembered when an earlier call arrives after them", async () => {
      const late = new Redis({ port: server.port });
      const send = late.evalsha.bind(late) as (
        ...args: unknown[]
      ) => Promise<unknown>;
      const other = new RedisStore(late, { prefix: "resque:" });
      try {
        await other.enqueue("q", ["before"]);
        const calls: unknown[][] = [];
        let release!: () => void;
        const released = new Promise<void>((resolve) => (release = resolve));
        (late as unknown as { evalsha: unknown }).evalsha = async (
          ...args: unknown[]
        ) => {
          if (calls.push(args) === 1) await released;
          return send(...args);
        };
        const first = other.enqueue("q", ["1"]);
        await Promise.all([
          other.enqueue("q", ["2"]),
          other.enqueue("q", ["3"]),
        ]);
        release();
        await first;
        for (const call of calls) await send(...call);
        expect(await redis.lrange("resque:queue:q", 0, -1)).toEqual([
          "before",
          "2",
          "3",
          "1",
        ]);
      } finally {
        other.close();
        late.disconnect();
      }
    });
  });

  describe("calls that arrive late", () => {
    test("have no effect once they were answered with a time-out", async () => {
      const hasty = new Redis({ port: server.port, commandTimeout: 200 });
      const other = new RedisStore(hasty, { prefix: "resque:" });
      try {
        await other.enqueue("q", ["before"]);
        server.pause();
        const late = [
          other.enqueue("q", ["late"]),
          other.delay(job(), { inMs: 1 }),
          other.pause("x"),
        ];
        for (const call of late)
          await expect(call).rejects.toThrow("Command timed out");
        hasty.disconnect(true); // what has no answer is sent again
        server.resume();
        await other.enqueue("q", ["after"]);
        expect(await redis.lrange("resque:queue:q", 0, -1)).toEqual([
          "before",
          "after",
        ]);
        expect(await redis.zcard("resque:ah:due")).toBe(0);
        expect(await redis.exists("resque:ah:paused")).toBe(0);
      } finally {
        server.resume();
        other.close();
        hasty.disconnect();
      }
    });

    test("are sent again when only the measured clock was wrong", async () => {
      const moved = new RedisStore(redis, {
        prefix: "resque:",
        clock: movableClock("resque:"),
      });
      await moved.enqueue("q", ["a"]);
      await redis.set("resque:test:skew", 3_600_000);
      await moved.enqueue("q", ["b"]);
      expect(await redis.llen("resque:queue:q")).toBe(2);
      moved.close();
    });
  });

  test("a full redis refuses producers and is drained by workers", async () => {
    const actor = await Actor.start(store, "p");
    const worker = await actor.worker();
    await store.enqueue("q", [job(1).raw, job(2).raw, job(3).raw]);
    await store.delay(job(4), { atMs: 1000 });
    await redis.config("SET", "maxmemory-policy", "noeviction");
    await redis.config("SET", "maxmemory", "1");
    await expect(store.enqueue("q", ["x"])).rejects.toThrow("OOM");
    await expect(store.delay(job(9), { inMs: 5 })).rejects.toThrow("OOM");

    expect(await store.lead("s", 1000)).toBe(0);
    expect((await store.promote(10)).moved).toHaveLength(1);
    const late = await Actor.start(store, "late");
    expect(await late.next(await late.worker())).toEqual(job(1));
    expect(await store.renew("p", 30_000, [worker], [])).toBeDefined();
    expect(await actor.next(worker)).toEqual(job(2));
    const slot = { process: "p", worker, class: "a", limit: 1, job: job(2) };
    expect(await store.acquireSlot(slot)).toBe("acquired");
    const key = "resque:workerslock:a";
    expect(
      await store.takeLock({ key, seconds: 9, owned: true, worker }),
    ).toBeDefined();
    const failure = { kind: "failure", entry: '{"no":1}' } as const;
    expect(await actor.next(worker, failure)).toEqual(job(3));
    expect(await actor.next(worker, SUCCESS)).toEqual(job(4));
    await actor.report(worker, SUCCESS);
    expect(await store.failedCount()).toBe(1);
    await store.deregister("late");
    expect((await store.lengths(["q"])).q.queued).toBe(1);
    await store.leave("p", worker);
    await store.deregister("p");
  });

  test.each(["of the same lock", "of other locks"])(
    "a report %s after a rollback releases the locks of the job that redis says that the worker ran",
    async (which) => {
      const actor = await Actor.start(store, "p", ["q"]);
      const worker = await actor.worker();
      const other = await actor.worker("p:2");
      await store.enqueue("q", [job(1).raw]);
      await actor.next(worker);
      const take = (name: string, by = worker, owned = true) =>
        store.takeLock({ key: `resque:${name}`, seconds: 60, owned, worker: by }); // prettier-ignore
      await take("lock:a");
      await take("lock:other", other);
      await take("ah:overrun:x", worker, false);
      const key = which === "of the same lock" ? "lock:a" : "lock:b";
      // the value that a later run got, which redis has forgotten
      const effects: Effect[] = [
        { do: "releaseLock", key: `resque:${key}`, value: "9999999999.1" },
      ];
      await actor.next(worker, { kind: "success", effects });
      expect(Object.keys(await store.locks())).toEqual(["lock:other"]);
      expect(await redis.exists("resque:ah:overrun:x")).toBe(1);
      expect(await take("lock:a", other)).toBeDefined();
    },
  );

  describe("keys that were lost", () => {
    const worker = workerIdentity("p:1", "q");
    const LISTING = {
      registration: "ah:proc:p",
      lease: "ah:procs",
      members: "ah:proc:p:members",
      owner: `ah:owner:${worker.member}`,
      workers: "workers",
    };
    const lose = (...names: string[]) =>
      redis.del(names.map((name) => `resque:${name}`));
    const listing = () =>
      Promise.all([
        redis.hget("resque:ah:proc:p:members", worker.member),
        redis.get(`resque:ah:owner:${worker.member}`),
        redis.smembers("resque:workers"),
      ]);
    const LISTED = [worker.name, "p", [worker.member]];
    let actor: Actor;
    let held: QueuedJob;
    beforeEach(async () => {
      store.close();
      store = new RedisStore(redis, { prefix: "resque:", connectionName: "test" }); // prettier-ignore
      actor = await Actor.start(store, "p", ["q"]);
      await actor.worker("p:1");
      await store.enqueue("q", [job(1).raw, job(2).raw]);
      held = (await actor.next(worker))!;
    });

    test.each([
      ["members", ["members"]],
      ["both keys", ["members", "owner", "workers"]],
    ] as const)(
      "%s of a process: it goes on, and its job counts once",
      async (_name, names) => {
        await lose(...names.map((name) => LISTING[name]));
        expect(await actor.next(worker, SUCCESS)).toEqual(job(2));
        expect(await listing()).toEqual(LISTED);
        expect(await redis.get("resque:stat:processed")).toBe("1");
        expect(await actor.next(worker, SUCCESS)).toBeUndefined();
      },
    );

    const REGISTRATIONS = (
      ["none", "lease", "members", "owner"] as const
    ).flatMap((other) =>
      ["lost", "of a wrong type"].map((how) => ({ other, how })),
    );
    const spoil = async (how: string, ...names: string[]) => {
      await lose(...names);
      if (how === "lost") return;
      for (const name of names) await redis.rpush(`resque:${name}`, "x");
    };

    describe.each(REGISTRATIONS)(
      "the registration is $how, and with it $other",
      ({ how, other }) => {
        const names = [LISTING.registration];
        if (other !== "none") names.push(LISTING[other]);
        const isWhole = async () => {
          expect(await listing()).toEqual(LISTED);
          expect(await redis.hget("resque:ah:proc:p", "connection")).toBe(
            "test",
          );
          expect(await redis.zscore("resque:ah:procs", "p")).not.toBeNull();
        };

        test("the report and the next job get through, once", async () => {
          await spoil(how, ...names);
          const slots: ExchangeSlot[] = [
            { worker, outcome: SUCCESS, raw: held.raw, want: true },
          ];
          expect(await actor.exchange(slots)).toMatchObject({ jobs: [job(2)] });
          // the reply was lost
          const same = await actor.exchange(slots, actor.number);
          expect(same).toMatchObject({ jobs: [job(2)] });
          await spoil(how, ...names);
          expect(await actor.exchange(slots, actor.number)).toMatchObject({ jobs: [job(2)] }); // prettier-ignore
          expect(await redis.get("resque:stat:processed")).toBe("1");
          expect(await actor.exchange(slots, 1)).toBe("fenced");
          await store.renew("p", 30_000, [worker], []);
          await isWhole();
          expect(await actor.next(worker, SUCCESS)).toBeUndefined();
        });

        test("other processes take its job for running, and the renewal repairs all", async () => {
          await spoil(how, ...names);
          expect(await store.findOrphans()).toEqual([]);
          expect(await store.repairOrphans()).toEqual([]);
          await store.register("heir", 30_000, "connection heir");
          expect(await store.join("heir", worker, 30_000)).toBe("taken");
          await store.renew("p", 30_000, [worker], []);
          await isWhole();
          expect(await store.repairOrphans()).toEqual([]);
          expect(await store.join("p", workerIdentity("p:2", "q"), 30_000)).toBe("joined"); // prettier-ignore
          expect(await actor.next(worker, SUCCESS)).toEqual(job(2));
        });

        test("its process is reaped when its lease has ended", async () => {
          await spoil(how, ...names);
          await store.register("heir", 30_000, "connection heir");
          await store.repairOrphans(1);
          await redis.zadd("resque:ah:procs", 1, "p");
          const renewal = await store.renew("heir", 30_000, [], []);
          expect(renewal!.expired).toEqual(["p"]);
          expect(await store.findDisconnected(["p"])).toEqual(["p"]);
          const returned = [
            ...(await store.reap("p", 0))!,
            ...(await store.repairOrphans()),
          ];
          expect(returned).toMatchObject([{ what: "requeued", ...held }]);
          expect(await store.renew("p", 30_000, [worker], [])).toBeUndefined();
          const slots = [{ worker, outcome: SUCCESS, want: true }];
          expect(await actor.exchange(slots)).toBe("fenced");
          expect(await store.jobs("q", 0, -1)).toHaveLength(2);
        });
      },
    );

    test("a wrong type at the members is replaced by them", async () => {
      await redis.multi().del(`resque:${LISTING.members}`).set(`resque:${LISTING.members}`, "x").exec(); // prettier-ignore
      expect(await actor.next(worker, SUCCESS)).toEqual(job(2));
      expect(await listing()).toEqual(LISTED);
    });

    test.each(["members", "owner", "workers"] as const)(
      "%s: written again at the next renewal",
      async (name) => {
        await lose(LISTING[name]);
        await store.renew("p", 30_000, [worker], []);
        expect(await listing()).toEqual(LISTED);
      },
    );

    test("a worker that left is not listed again by a renewal", async () => {
      await store.leave("p", worker);
      await store.renew("p", 30_000, [worker], []);
      expect(await listing()).toEqual([null, null, []]);
      expect(await redis.keys("resque:worker:ping:*")).toEqual([]);
    });

    test("members, when another process has the worker: it is not the process's any more", async () => {
      await lose(LISTING.members);
      await store.register("other", 30_000, "connection other");
      await redis.set(`resque:${LISTING.owner}`, "other");
      const slots = [{ worker, outcome: SUCCESS, want: true }];
      expect(await actor.exchange(slots)).toMatchObject({ unlisted: [0] });
      expect(await redis.get("resque:stat:processed")).toBeNull();
      expect(await store.leave("other", worker)).toMatchObject(job(1));
    });

    test("the owner: its job gets a slot and a lock, and both are released with it", async () => {
      await lose(LISTING.owner);
      await store.sweepSlots({ a: 1 });
      const lock = { key: "resque:lock:a", seconds: 10, owned: true, worker };
      expect(await store.takeLock(lock)).toBeDefined();
      const request = { process: "p", worker, class: "a", limit: 1, job: held };
      expect(await store.acquireSlot(request)).toBe("acquired");
      await lose(LISTING.owner);
      await store.sweepSlots({ a: 1 });
      expect(await redis.scard("resque:ah:limit:a")).toBe(1);
      expect(await store.leave("p", worker, true)).toMatchObject({
        what: "running",
      });
      const [returned] = await store.deregister("p");
      expect(returned).toMatchObject({ what: "requeued", ...held });
      expect(await redis.scard("resque:ah:limit:a")).toBe(0);
      expect(await store.locks()).toEqual({});
      expect((await store.lengths(["q"])).q.queued).toBe(2);
    });
  });

  describe("a queue that is no longer listed anywhere, with its jobs", () => {
    const LISTINGS = [
      ["q", ["queues", "ah:ready"]],
      ["q:node:n", ["queues", "ah:ready", "ah:ready:n"]],
    ] as const;
    const spoilt = LISTINGS.flatMap(([queue, keys]) =>
      ["lost", "of a wrong type"].map((how) => ({ queue, keys, how })),
    );
    let actor: Actor;
    let worker: WorkerIdentity;
    const lists = async (queue: string) => {
      expect(await store.queues()).toEqual([queue]);
      const jobs = await actor.next(worker);
      expect(jobs).toMatchObject({ queue });
    };
    beforeEach(async () => {
      actor = await Actor.start(store, "p", ["*"], "n");
      worker = await actor.worker();
    });

    test.each(spoilt)(
      "is found by the search for runs of a recurring task: $queue, $how",
      async ({ queue, keys, how }) => {
        const raw = jobText(queue, "per", {});
        const node = queue === "q" ? undefined : "n";
        await store.enqueue(queue, [raw], { node });
        for (const key of keys) {
          await redis.del(`resque:${key}`);
          if (how !== "lost") await redis.set(`resque:${key}`, "x");
        }
        const run = { task: "per", queue, raws: [raw], onlyInQueue: false };
        expect(await store.missingRuns([run])).toEqual([]);
        await lists(queue);
      },
    );

    test.each(spoilt)(
      "is found by a sweep: $queue, $how",
      async ({ queue, keys, how }) => {
        const node = queue === "q" ? undefined : "n";
        await store.enqueue(queue, [job().raw], { node });
        for (const key of keys) {
          await redis.del(`resque:${key}`);
          if (how !== "lost") await redis.set(`resque:${key}`, "x");
        }
        await store.sweepQueues(10);
        await lists(queue);
      },
    );

    test("is found by several sweeps among other keys, in a namespace with any characters", async () => {
      const prefix = "a[b]*?\\:";
      const others = Array.from({ length: 5_000 }, (_, n) => [`o${n}`, "x"]);
      await redis.mset(others.flat());
      const own = new RedisStore(redis, { prefix });
      await own.enqueue("q", [job().raw]);
      await redis.rpush("ab:queue:foreign", "x");
      await redis.del(`${prefix}queues`, `${prefix}ah:ready`);
      await own.sweepQueues(1);
      const found: string[] = [];
      await until(async () => {
        await own.sweepQueues(1);
        found.splice(0, Infinity, ...(await own.queues()));
        return found.length > 0;
      });
      expect(found).toEqual(["q"]);
      own.close();
    });

    test.each([1, 40, 1_000])(
      "is listed again by the next jobs: %p wait already",
      async (waiting) => {
        const raws = Array.from({ length: waiting }, () => job().raw);
        await store.enqueue("q", raws);
        await redis.del("resque:queues", "resque:ah:ready");
        for (let n = 0; n < 32; n++) await store.enqueue("q", [job(n).raw]);
        await lists("q");
      },
    );
  });

  describe("keys of wrong types", () => {
    test("a queue that is not a list is skipped and named, and the finished job stays finished", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", [job(1).raw]);
      await store.enqueue("a", ["x"]);
      await redis.set("resque:queue:a", "text");
      const slots = [{ worker, outcome: NO_OUTCOME, want: true }];
      expect(await actor.exchange(slots)).toEqual({
        jobs: [job(1)],
        problems: [expect.stringMatching(/^WRONGTYPE.*queue:a\)$/)],
      });
      await redis.zadd("resque:ah:ready", 0, "a");
      const reply = await actor.exchange([
        { worker, outcome: SUCCESS, want: true },
      ]);
      expect(reply).toMatchObject({ jobs: [undefined] });
      expect(await redis.get("resque:stat:processed")).toBe("1");
      expect(await redis.exists(`resque:worker:${worker.member}`)).toBe(0);
    });

    test.each([
      "stat:processed",
      "stat:failed",
      "stat:processed:p:1",
      "failed",
      "ah:wake:q",
      "ah:wake-any",
      "ah:ready",
      "ah:paused",
      "ah:waiting",
      "ah:limits",
      "ah:node-queues",
      "queues",
      "workers",
    ])("jobs are finished once while %s is something else", async (key) => {
      const actor = await Actor.start(store, "p", ["q"]);
      const worker = await actor.worker();
      await redis.del(`resque:${key}`);
      await redis.set(`resque:${key}`, "text");
      await store.enqueue("q", [job(1).raw, job(2).raw, job(3).raw]);
      expect(await actor.next(worker)).toEqual(job(1));
      const failure = { kind: "failure", entry: '{"no":1}' } as const;
      expect(await actor.next(worker, failure)).toEqual(job(2));
      expect(await actor.next(worker, SUCCESS)).toEqual(job(3));
      expect(await actor.next(worker, SUCCESS)).toBeUndefined();
      await redis.del(`resque:${key}`);
      await store.sweepSlots({});
      expect(await store.failed(0, -1)).toEqual(['{"no":1}']);
    });

    test.each([
      "ah:ready",
      "ah:ready:n",
      "ah:wake-any",
      "ah:wake:q",
      "ah:wake-scheduler",
      "ah:sweep",
      "ah:orphan-sweep",
      "ah:procs",
      "ah:nodes",
      "ah:node-queues",
      "ah:node-runs:n",
      "ah:plans",
      "ah:plans:n",
      "ah:stopped",
      "ah:limits",
      "ah:limit:c",
      "ah:parked:c",
      "ah:waiting",
      "ah:due",
      "ah:due-count",
      "ah:failed:c",
    ])("%s is built again, and jobs go on", async (name) => {
      const key = `resque:${name}`;
      const spoil = () => redis.multi().del(key).set(key, "text").exec();
      const actor = await Actor.start(store, "p", ["q", "*"], "n");
      const workers = [await actor.worker("p:1"), await actor.worker("p:2")];
      await store.enqueue("other", ["before"]);
      await spoil();

      await store.announceNode("n", ["own"], 60_000, 60_000);
      await store.register("p", 30_000, "connection p");
      await store.renew("p", 30_000, workers, []);
      const limited = { class: "c", limit: 1, process: "p" };
      await store.enqueue("q", [job(1).raw, job(2).raw, job(3).raw]);
      for (const [index, state] of ["acquired", "waiting"].entries()) {
        const worker = workers[index];
        const held = (await actor.next(worker))!;
        expect(held).toEqual(job(index + 1));
        const request = { ...limited, worker, job: held };
        expect(await store.acquireSlot(request)).toBe(state);
      }
      const effects: Effect[] = [
        { do: "releaseSlot", class: "c" },
        { do: "boundFailed", class: "c", most: 5 },
      ];
      const failure = { kind: "failure", entry: "{}", effects } as const;
      expect(await actor.next(workers[0], failure)).toEqual(job(2));
      expect(await actor.next(workers[1])).toEqual(job(3));
      await store.markStopped("t", true);
      expect(await store.isStopped("t")).toBe(true);
      const declare = { by: "p", plan: "{}" };
      const own = { queue: "own", raw: "own", due: { inMs: 0 } };
      await store.plan({
        task: "t",
        node: "n",
        declare,
        remove: [],
        next: own,
      });
      await store.plan({ task: "t", declare, remove: [] });
      await store.enqueue("own", ["own"], { node: "n" });
      const [worker] = workers;
      expect((await actor.next(worker, SUCCESS))!.queue).toBe("own");
      // queues that had jobs before are found by a sweep
      await redis.hdel("resque:ah:sweep", "at").catch(() => 0);
      await store.sweepQueues(10);
      expect((await actor.next(worker, SUCCESS))!.raw).toBe("before");
      await store.delay(job(4), { inMs: 0 });
      await until(async () => (await store.promote(10)).moved.length > 0);
      await store.repairOrphans(1);
      expect(await actor.next(worker, SUCCESS)).toBeDefined();
      while (await actor.next(worker, SUCCESS));
      expect(await redis.type(key)).not.toBe("string");
    });

    test("calls go on although something else is where they are remembered", async () => {
      const first = job(1);
      await store.removeDelayed(first.raw); // its reply is kept
      const keys = await redis.keys("resque:ah:ops:*");
      expect(keys).toHaveLength(2);
      for (const spoilt of [keys, [keys[0]], [keys[1]]]) {
        for (const key of spoilt) await redis.multi().del(key).sadd(key, "x").exec(); // prettier-ignore
        await store.enqueue("q", [first.raw]);
        await store.delay(job(2), { inMs: 60_000 });
        expect(await store.removeDelayed(job(2).raw)).toHaveLength(1);
        const types = await Promise.all(keys.map((key) => redis.type(key)));
        expect(types.sort()).toEqual(["hash", "string"]);
      }
      expect((await store.lengths(["q"])).q.queued).toBe(3);
    });

    test("what cannot be read is shown as empty", async () => {
      for (const key of [
        "queues",
        "workers",
        "failed",
        "delayed:1",
        "delayed_queue_schedule",
        "resque_scheduler_leader_lock",
        "ah:paused",
        "ah:job:1",
      ])
        // prettier-ignore
        await redis.zadd(`resque:${key}`, 1, "1");
      await redis.set("resque:delayed_queue_schedule", "x");
      expect(await store.queues()).toEqual([]);
      expect(await store.workers()).toEqual([]);
      expect(await store.failedCount()).toBe(0);
      expect(await store.failed(0, -1)).toEqual([]);
      expect(await store.delayedSeconds()).toEqual([]);
      expect(await store.delayedJobs(1)).toEqual([]);
      expect(await store.leader()).toBeNull();
      expect(await store.pausedQueues()).toEqual([]);
      expect(await store.jobInfo("1")).toBeUndefined();
    });

    test("a delayed job that is refused leaves no owner of its queue", async () => {
      await redis.set("resque:delayed:5", "text");
      const delayed = store.delay(job(1), { atMs: 5_000 }, { node: "n" });
      await expect(delayed).rejects.toThrow("WRONGTYPE");
      expect(await redis.keys("resque:ah:node*")).toEqual([]);
      await redis.del("resque:delayed:5");
      await store.delay(job(1), { atMs: 5_000 }, { node: "n" });
      expect((await redis.keys("resque:ah:node*")).sort()).toEqual([
        "resque:ah:node-queues",
        "resque:ah:node-seen:n",
      ]);
    });

    test("the lead is taken although its key is something else", async () => {
      const key = "resque:resque_scheduler_leader_lock";
      await redis.hset(key, "a", "b");
      await store.resign("one");
      expect(await store.lead("one", 60_000)).toBe(0);
      expect(await redis.get(key)).toBe("one");
    });

    test("a lead that lasts longer than it can is cut: the clock of redis was set back", async () => {
      const key = "resque:resque_scheduler_leader_lock";
      await redis.set(key, "old", "PX", 180_000);
      expect(await store.lead("one", 30_000)).toBeGreaterThan(100_000);
      await redis.set(key, "dead", "PX", 3_600_000);
      expect(await store.lead("one", 30_000)).toBe(30_000);
      expect(await redis.pttl(key)).toBeLessThanOrEqual(30_000);
    });

    test("a dead process is reaped although the leases were lost", async () => {
      const actor = await Actor.start(store, "p");
      await store.enqueue("q", [job(1).raw]);
      await actor.next(await actor.worker());
      await redis.set("resque:ah:procs", "text");
      await store.register("other", 30_000, "connection other");
      await store.repairOrphans(1);
      await until(async () =>
        (await store.renew("other", 30_000, [], []))!.expired.includes("p"),
      );
      expect(await store.reap("p", 0)).toMatchObject([{ what: "requeued" }]);
    });

    test("a job that is due goes on although its bucket is something else", async () => {
      await store.delay(job(1), { atMs: 5_000 });
      await store.delay(job(2), { atMs: 6_000 });
      await redis.set("resque:delayed:5", "text");
      const moved = [
        ...(await store.promote(10)).moved,
        ...(await store.promote(10)).moved,
      ];
      expect(moved.map(({ raw }) => raw).sort()).toEqual([
        job(1).raw,
        job(2).raw,
      ]);
    });

    test("a tracked job whose queue is something else is failed", async () => {
      const raw = jobText("q", "a", {}, { ah: { id: "7" } });
      const track = { id: "7", class: "a" };
      await store.delay({ queue: "q", raw }, { inMs: 0 }, { track });
      await redis.set("resque:queue:q", "text");
      await until(async () => (await store.promote(10)).moved.length > 0);
      expect(await store.jobInfo("7")).toMatchObject({ state: "failed" });
    });

    test("an unreadable record goes to the failed list, and the other jobs of the process go back", async () => {
      const actor = await Actor.start(store, "p");
      const workers = [await actor.worker("p:1"), await actor.worker("p:2")];
      await store.enqueue("q", [job(1).raw, job(2).raw]);
      for (const worker of workers) await actor.next(worker);
      await redis.set(`resque:worker:${workers[0].member}`, "no record");
      await redis.zadd("resque:ah:procs", 0, "p");
      const returned = (await store.reap("p", 0))!;
      expect(returned.map(({ what }) => what).sort()).toEqual([
        "failed",
        "requeued",
      ]);
      const [entry] = await store.failed(0, -1);
      expect(JSON.parse(entry)).toMatchObject({ payload: "no record" });
      expect(await store.jobs("q", 0, -1)).toEqual([job(2).raw]);
    });
  });

  test("a renewal that arrives after its worker has left leaves nothing of it", async () => {
    const actor = await Actor.start(store, "p");
    const [worker, other] = [await actor.worker("w"), await actor.worker("o")];
    await store.leave("p", worker);
    await store.renew("p", 30_000, [worker, other], []);
    expect(await redis.keys("resque:worker:ping:*")).toEqual([
      `resque:worker:ping:${other.name}`,
    ]);
  });

  test("a node that does not return leaves no key", async () => {
    const next = { queue: "q:node:n", raw: "{}", due: { inMs: 60_000 } };
    await store.plan({ task: "t", node: "n", remove: [], next });
    await store.announceNode("n", ["q:node:n"], 1, 1);
    await store.enqueue("q:node:n", ["a"]);
    const wakeUps = () => redis.keys("resque:ah:wake*:n");
    expect((await wakeUps()).sort()).toEqual([
      "resque:ah:wake-any:n",
      "resque:ah:wake:q:node:n",
    ]);
    await until(
      async () => (await redis.exists("resque:ah:node-seen:n")) === 0,
    );
    expect(await store.removeQueuesOfLostNodes()).toEqual(["q:node:n"]);
    expect(await redis.keys("resque:*node*")).toEqual([]);
    expect(await wakeUps()).toEqual([]);
  });

  test("the plans of a node that ends before it renews them expire", async () => {
    const declare = { by: "n", plan: "{}" };
    await store.plan({ task: "t", node: "n", declare, remove: [] });
    expect(await redis.pttl("resque:ah:plans:n")).toBeGreaterThan(3_500_000);
    await store.plan({ task: "t", declare, remove: [] });
    expect(await redis.pttl("resque:ah:plans")).toBe(-1);
  });

  test("a unique job that runs is looked for in few commands, and then where it was found", async () => {
    const unique = { key: "k", class: "a" };
    const actor = await Actor.start(store, "p");
    const worker = await actor.worker();
    await store.enqueue("q", [job().raw], { unique });
    await actor.next(worker);
    for (let n = 0; n < 2000; n += 1000)
      await redis.sadd(
        "resque:workers",
        ...Array.from({ length: 1000 }, (_, i) => `far:${n + i}:*`),
      );
    const commands = async () => {
      await redis.config("RESETSTAT");
      expect(await store.enqueue("q", [job().raw], { unique })).toEqual({
        state: "held",
      });
      const stats = await redis.info("commandstats");
      const calls = (name: string) =>
        Number(
          new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0,
        );
      return { get: calls("get"), mget: calls("mget") };
    };
    const held = { worker, raw: job().raw };
    await store.noteUnique("k", { ...held, raw: "another" });
    expect(await redis.exists("resque:ah:unique:k:at")).toBe(0);
    await store.noteUnique("k", held);
    expect((await commands()).mget).toBe(0);
    await redis.del("resque:ah:unique:k:at");

    // a worker of an earlier version notes nothing
    const first = await commands();
    expect(first.get).toBeLessThan(5);
    expect(first.mget).toBeLessThan(6);
    expect((await commands()).mget).toBe(0);

    // the worker goes on with another job, and another worker runs the same one
    const effects: Effect[] = [
      { do: "unlockUnique", key: "k", raw: job().raw },
    ];
    await actor.report(worker, { kind: "success", effects });
    await store.noteUnique("k", held); // it comes late
    expect(await redis.keys("resque:ah:unique:*")).toEqual([]);
    await redis.set("resque:ah:unique:k:at", worker.member);
    expect(await store.enqueue("q", [job().raw], { unique })).toEqual({
      state: "added",
    });
    const other = await actor.worker("p:2");
    await actor.next(other);
    expect((await commands()).mget).toBeGreaterThan(0);
  });

  test("a fetch costs as much with 50,000 known queues as with 10", async () => {
    const commandsOfFetches = async (known: number) => {
      await redis.flushall();
      const names = Array.from({ length: known }, (_, n) => `queue ${n}`);
      for (let first = 0; first < known; first += 1000)
        await redis.sadd("resque:queues", names.slice(first, first + 1000));
      for (const name of names.slice(0, 10))
        await store.enqueue(name, ["a", "b"]);
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await redis.config("RESETSTAT");
      let jobs = 0;
      while (await actor.next(worker, SUCCESS)) jobs++;
      expect(jobs).toBe(20);
      const stats = await redis.info("commandstats");
      const calls = [...stats.matchAll(/calls=(\d+)/g)].map(([, n]) =>
        Number(n),
      );
      return calls.reduce((sum, n) => sum + n, 0);
    };
    const few = await commandsOfFetches(10);
    expect(await commandsOfFetches(50_000)).toBeLessThanOrEqual(1.2 * few);
  });

  test("a run of a recurring task costs as much with 5,000 of them as with one", async () => {
    const declare = { by: "p", plan: "{}" };
    const actor = await Actor.start(store, "p");
    const worker = await actor.worker();
    const commands = async () => {
      await redis.config("RESETSTAT");
      expect(await store.planOf("t")).toBe("{}");
      const next = { ...job(1), due: { inMs: 60_000 } };
      const planRun: Effect = {
        do: "planRun",
        task: "t",
        remove: [job(1)],
        next,
        plan: "{}",
        unlessStopped: true,
      };
      await store.apply(worker, [planRun]);
      const stats = await redis.info("commandstats");
      expect(stats).not.toContain("hgetall");
      return stats.split("\n").filter((line) => line.startsWith("cmdstat"));
    };
    await store.plan({ task: "t", declare, remove: [] });
    await commands(); // scripts are loaded
    const few = await commands();
    const entries = Array.from({ length: 5_000 }, (_, n) => [
      `t${n}`,
      "p\n0\n{}",
    ]);
    await redis.hset("resque:ah:plans", ...entries.flat());
    const calls = (lines: string[]) =>
      lines.map((line) => line.replace(/,usec=.*/, ""));
    expect(calls(await commands())).toEqual(calls(few));
    // the search for lost ones asks once for each scheduler
    await redis.config("RESETSTAT");
    expect(Object.keys(await store.plans())).toHaveLength(5_001);
    const [, exists] = /cmdstat_exists:calls=(\d+)/.exec(
      await redis.info("commandstats"),
    )!;
    expect(Number(exists)).toBe(1);
  });

  describe("delayed jobs whose data was lost in part", () => {
    const MINUTE = { inMs: 60_000 };
    const run = {
      task: "a",
      queue: "q",
      raws: [job().raw],
      onlyInQueue: false,
    };
    const unique = { key: "u", class: "a" };
    const second = async () =>
      (await redis.smembers(`resque:timestamps:${job().raw}`))[0].split(":")[1];
    const losses: Record<string, () => Promise<unknown>> = {
      "its bucket": async () => redis.del(`resque:delayed:${await second()}`),
      "its bucket and the schedule": async () =>
        redis.del(
          `resque:delayed:${await second()}`,
          "resque:delayed_queue_schedule",
        ),
      "its place in the bucket, which a scheduler that died took": async () => {
        const bucket = `resque:delayed:${await second()}`;
        await redis.rpush(bucket, "another");
        await redis.lrem(bucket, 1, job().raw);
      },
    };

    test.each(Object.keys(losses))(
      "a job without %s is not delayed any more",
      async (loss) => {
        const add = (due: { inMs: number } | { atMs: number }) =>
          store.delay(job(), due, { unique });
        const at = { atMs: (await store.now()) + 60_000 };
        await add(at);
        expect(await store.missingRuns([run])).toEqual([]);
        expect(await add(MINUTE)).toEqual({ state: "held" });
        await losses[loss]();

        expect(await store.missingRuns([run])).toEqual(["a"]);
        expect(await store.scheduledAt(job().raw)).toEqual([]);
        expect(await store.isQueued("q", job().raw)).toBe(false);
        // in the same second
        expect(await add(at)).toEqual({ state: "added" });
        expect(await store.scheduledAt(job().raw)).toHaveLength(1);
        await losses[loss]();
        expect(await store.enqueue("q", [job().raw], { unique })).toEqual({
          state: "added",
        });
      },
    );

    test("what is left of a lost job ends when it would have been due", async () => {
      await store.delay(job(), { inMs: 1 });
      await redis.del(`resque:delayed:${await second()}`);
      await until(async () => {
        await store.promote(10);
        return (await redis.zcard("resque:ah:due")) === 0;
      });
      expect(await redis.exists(`resque:timestamps:${job().raw}`)).toBe(0);
    });

    test("a job whose second the schedule and our index have lost goes on", async () => {
      const lose = () =>
        redis.del("resque:delayed_queue_schedule", "resque:ah:due");
      const schedule = () =>
        redis.zrange("resque:delayed_queue_schedule", 0, 1);
      await store.delay(job(), MINUTE);
      await lose();
      expect(await store.missingRuns([run])).toEqual([]);
      expect(await schedule()).toEqual([await second()]);
      // one without a reader
      await lose();
      await store.repairOrphans(60_000);
      expect(await schedule()).toEqual([await second()]);
    });
  });

  describe("jobs of other programs", () => {
    test("delayed ones go at their whole second, beside ours of the same second", async () => {
      const second = Math.floor((await store.now()) / 1000);
      const theirs = jobText("q", "theirs");
      await redis.zadd("resque:delayed_queue_schedule", second, second);
      await redis.rpush(`resque:delayed:${second}`, theirs);
      await redis.sadd(`resque:timestamps:${theirs}`, `delayed:${second}`);
      await store.delay(job(1), { atMs: second * 1000 + 499 });
      const { moved } = await store.promote(10);
      expect(moved).toContainEqual({ second: String(second), raw: theirs });
    });

    test("what is kept beside a delayed job of ours ends when another program moves the job", async () => {
      const moved = new RedisStore(redis, {
        prefix: "resque:",
        clock: movableClock("resque:"),
      });
      const context = ',"ah":{"request":"r"}}';
      const delayed = (n: number) => `${job(n).raw.slice(0, -1)}${context}`;
      const ours = ["ah:due", "ah:due-count", "ah:due-context"];
      const kept = async () => [
        await redis.zcard("resque:ah:due"),
        await redis.hlen("resque:ah:due-count"),
        await redis.hlen("resque:ah:due-context"),
      ];
      const add = (n: number, inMs: number) =>
        moved.delay({ queue: "q", raw: delayed(n) }, { inMs });
      try {
        for (let n = 0; n < 3; n++) await add(n, 1000 * (n + 1));
        expect(await kept()).toEqual([3, 3, 3]);
        // as node-resque does it
        for (const second of await redis.zrange(
          "resque:delayed_queue_schedule",
          0,
          1,
        )) {
          const raw = (await redis.lpop(`resque:delayed:${second}`))!;
          await redis.srem(`resque:timestamps:${raw}`, `delayed:${second}`);
          await redis.zrem("resque:delayed_queue_schedule", second);
          await redis.rpush("resque:queue:q", raw);
        }
        await add(3, 20_000);
        expect(await kept()).toEqual([4, 4, 4]);
        // the third one waits for a scheduler that is late
        await redis.set("resque:test:skew", 70_000);
        await add(4, 1000);
        expect(await kept()).toEqual([3, 3, 3]);
        for (const key of ours)
          expect(
            await redis.zscore("resque:test:ends", `resque:${key}`),
          ).not.toBeNull();
        await redis.set("resque:test:skew", 30 * 86_400_000);
        await moved.now();
        expect(await kept()).toEqual([0, 0, 0]);
      } finally {
        moved.close();
      }
    });

    test("queues are swept in batches, by all processes together", async () => {
      const pipeline = redis.pipeline();
      for (let n = 0; n < 20; n++)
        pipeline.sadd(
          "resque:queues",
          ...Array.from({ length: 1000 }, (_, i) => `queue ${n} ${i}`),
        );
      await pipeline.exec();
      await redis.rpush("resque:queue:queue 19 999", "theirs");
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      let found = await actor.next(worker);
      const deadline = performance.now() + 10_000;
      while (!found && performance.now() < deadline) {
        const ms = await store.sweepQueues(1_000);
        await new Promise((resolve) => setTimeout(resolve, ms));
        found = await actor.next(worker);
      }
      expect(found).toEqual({ queue: "queue 19 999", raw: "theirs" });
    });

    test("a worker of ours whose process is gone is an orphan, and its job goes back", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", [job(1).raw]);
      await actor.next(worker);
      await redis.sadd("resque:workers", "theirs:1:q");
      await redis.set("resque:worker:theirs:1:q", "{}");
      expect(await store.findOrphans()).toEqual([]);
      await redis.del("resque:ah:proc:p", "resque:ah:proc:p:members");
      await redis.zrem("resque:ah:procs", "p");
      expect(await store.findOrphans()).toEqual([
        { member: worker.member, record: expect.stringContaining('"payload"') },
      ]);
      expect(await store.repairOrphans()).toMatchObject([{ what: "requeued" }]);
      expect(await store.findOrphans()).toEqual([]);
      expect(await store.jobs("q", 0, -1)).toEqual([job(1).raw]);
      expect(await store.workers()).toEqual(["theirs:1:q"]);
    });
  });
});
