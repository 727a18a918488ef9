/** What the engine may rely on, whichever store keeps its data. */
import {
  type AwaitedRun,
  NO_OUTCOME,
  workerIdentity,
  type Effect,
  type NextRun,
  type QueuedJob,
  type QueueStore,
  type WorkerIdentity,
} from "../../../src/resque/store/store";
import { withContext } from "../../../src/resque/jobText";
import { Actor, describeOnEachStore, jobText, SUCCESS } from "./support";

describeOnEachStore("the store of the queue", (context) => {
  let store: QueueStore;

  beforeEach(() => {
    ({ store } = context);
  });

  const job = (name: string, ...args: unknown[]) => ({
    queue: "q",
    raw: jobText("q", name, ...args),
  });
  const carried = (name: string, request: string) => ({
    queue: "q",
    raw: withContext(job(name).raw, { request }),
  });
  const held = (key: string) => ({ key, value: expect.stringMatching(/./) });
  const advance = (ms: number) => context.advance(ms);

  describe("fetching", () => {
    test("jobs are fetched in the order in which they were added", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", [job("a").raw, job("b").raw]);
      await store.enqueue("q", [job("c").raw]);
      expect(await actor.next(worker)).toEqual(job("a"));
      expect(await actor.next(worker, SUCCESS)).toEqual(job("b"));
      expect(await actor.next(worker, SUCCESS)).toEqual(job("c"));
      expect(await actor.next(worker, SUCCESS)).toBeUndefined();
      expect(await store.stats()).toMatchObject({
        processed: "3",
        "processed:p:1": "3",
      });
      expect(await store.queues()).toEqual(["q"]);
    });

    test("queues are fetched in the order given, and the asterisk stands for the rest by name", async () => {
      const actor = await Actor.start(store, "p", ["zz", "*", "low"]);
      const worker = await actor.worker();
      for (const queue of ["low", "b", "a", "zz"])
        await store.enqueue(queue, [queue]);
      const order = [await actor.next(worker)];
      for (let i = 0; i < 3; i++) order.push(await actor.next(worker, SUCCESS));
      expect(order.map((one) => one!.queue)).toEqual(["zz", "a", "b", "low"]);
    });

    test("a repeated call changes nothing and returns the same jobs", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", [job("a").raw, job("b").raw]);
      await actor.next(worker);
      const slots = [{ worker, outcome: SUCCESS, want: true }];
      const first = await actor.exchange(slots);
      const again = await actor.exchange(slots, actor.number);
      expect(first).toEqual({ jobs: [job("b")], problems: [] });
      expect(again).toEqual(first);
      expect((await store.stats()).processed).toBe("1");
    });

    test("a repeated registration leaves the calls of the process as they are", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", [job("a").raw, job("b").raw]);
      await actor.next(worker);
      const slots = [{ worker, outcome: SUCCESS, want: true }];
      const first = await actor.exchange(slots);
      await store.register("p", 30_000, "connection p");
      expect(await actor.exchange(slots, actor.number)).toEqual(first);
      expect((await store.stats()).processed).toBe("1");
    });

    test("an older call and one of an unknown process are fenced", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      const slots = [{ worker, outcome: NO_OUTCOME, want: true }];
      await actor.exchange(slots, 2);
      expect(await actor.exchange(slots, 1)).toBe("fenced");
      const stranger = new Actor(store, "unknown");
      expect(await stranger.exchange(slots, 1)).toBe("fenced");
    });

    test("a worker that has left gets nothing, and its report counts nothing", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", [job("a").raw]);
      await actor.next(worker);
      expect(await store.leave("p", worker)).toMatchObject({
        what: "requeued",
        ...job("a"),
      });
      expect(await actor.next(worker, SUCCESS)).toBeUndefined();
      expect(await store.jobs("q", 0, -1)).toEqual([job("a").raw]);
      expect(await store.stats()).toEqual({});
    });

    test("a worker that reports nothing gets the job that it has", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", [job("a").raw, job("b").raw]);
      await actor.next(worker);
      expect(await actor.next(worker)).toEqual(job("a"));
    });

    test("one call serves several workers", async () => {
      const actor = await Actor.start(store, "p");
      const workers = [await actor.worker("p:1"), await actor.worker("p:2")];
      await store.enqueue("q", [job("a").raw]);
      await store.enqueue("r", ["r"]);
      const slots = workers.map((worker) => ({
        worker,
        outcome: NO_OUTCOME,
        want: true,
      }));
      expect(await actor.exchange(slots)).toEqual({
        jobs: [job("a"), { queue: "r", raw: "r" }],
        problems: [],
      });
    });

    test("a failure is counted and listed, a retried one only counted", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", ["a", "b", "c"]);
      await actor.next(worker);
      await actor.next(worker, { kind: "failure", entry: '{"e":1}' });
      await actor.next(worker, { kind: "retried" });
      await actor.next(worker, { kind: "uncounted" });
      expect(await store.failed(0, -1)).toEqual(['{"e":1}']);
      expect(await store.failedCount()).toBe(1);
      expect(await store.stats()).toEqual({ failed: "2", "failed:p:1": "2" });
    });

    test("the record of a worker shows its job", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", [job("a").raw]);
      await actor.next(worker);
      const [found] = await store.records(await store.workers());
      expect(JSON.parse(found.record!)).toEqual({
        worker: "p:1",
        queue: "q",
        run_at: expect.any(String),
        payload: JSON.parse(job("a").raw),
      });
    });
  });

  describe("paused queues", () => {
    test("no process fetches from a paused queue until it is resumed", async () => {
      const any = await Actor.start(store, "p");
      const named = await Actor.start(store, "n", ["q"]);
      const [first, second] = [await any.worker(), await named.worker()];
      await store.enqueue("q", ["a", "b"]);
      await store.pause("q");
      expect(await store.pausedQueues()).toEqual(["q"]);
      expect(await any.next(first)).toBeUndefined();
      expect(await named.next(second)).toBeUndefined();
      await store.enqueue("q", ["c"]);
      await store.resume("q");
      expect(await store.pausedQueues()).toEqual([]);
      expect((await any.next(first))!.raw).toBe("a");
      expect((await named.next(second))!.raw).toBe("b");
    });

    test("the queues of nodes are paused and resumed with it, also of one that starts later", async () => {
      const actors: Actor[] = [];
      for (const node of ["n", "later"]) {
        const own = `q:node:${node}`;
        if (node === "later") await store.pause("q");
        await store.announceNode(node, [own], 60_000, 60_000);
        await store.enqueue(own, [node]);
        // one of another name that is alike belongs to nobody
        await store.enqueue(`q:node:x${node}`, ["other"]);
        const queues = node === "n" ? ["*"] : [own];
        actors.push(await Actor.start(store, node, queues, node));
      }
      const [first, second] = actors;
      const workers = [await first.worker(), await second.worker()];
      for (let n = 0; n < 2; n++)
        expect((await first.next(workers[0], SUCCESS))!.raw).toBe("other");
      for (const [index, actor] of actors.entries())
        expect(await actor.next(workers[index], SUCCESS)).toBeUndefined();
      const waiting = store.wait(
        { queues: ["*"], node: "n" },
        10_000,
        store.mark(),
      );
      await store.resume("q");
      expect(await waiting.done).toBe(true);
      expect((await first.next(workers[0]))!.raw).toBe("n");
      expect((await second.next(workers[1]))!.raw).toBe("later");
    });

    test("resuming a queue wakes waiting processes", async () => {
      await store.pause("q");
      await store.enqueue("q", ["a"]);
      const actor = await Actor.start(store, "p");
      await actor.next(await actor.worker());
      const waiting = store.wait({ queues: ["*"] }, 10_000, store.mark());
      await store.resume("q");
      expect(await waiting.done).toBe(true);
    });
  });

  describe("the queues of *", () => {
    test("take turns, whatever their lengths", async () => {
      for (const queue of ["a", "b", "c"])
        await store.enqueue(queue, ["1", "2", "3"]);
      await store.enqueue("named", ["1", "2"]);
      const actor = await Actor.start(store, "p", ["named", "*"]);
      const worker = await actor.worker();
      const fetched: string[] = [];
      for (let n = 0; n < 8; n++) {
        const { queue, raw } = (await actor.next(worker, SUCCESS))!;
        if (queue !== "named") actor.after = queue;
        fetched.push(queue + raw);
        if (n === 4) await store.enqueue("bb", ["1"]);
      }
      expect(fetched).toEqual([
        ...["named1", "named2"],
        ...["a1", "b1", "c1"],
        ...["a2", "b2", "bb1"],
      ]);
      expect((await actor.next(worker, SUCCESS))!.queue).toBe("c");
    });

    test("come after the queues of the node itself", async () => {
      await store.announceNode("n", ["m", "n"], 20_000, 3_600_000);
      for (const queue of ["a", "m", "n", "z"])
        await store.enqueue(queue, ["1", "2"]);
      const actor = await Actor.start(store, "p", ["*"], "n");
      const worker = await actor.worker();
      const fetched: string[] = [];
      for (let n = 0; n < 8; n++) {
        const { queue, raw } = (await actor.next(worker, SUCCESS))!;
        actor.after = queue;
        fetched.push(queue + raw);
      }
      const own = ["m1", "n1", "m2", "n2"];
      expect(fetched.slice(0, 4)).toEqual(own);
      expect(fetched.slice(4)).toEqual(["z1", "a1", "z2", "a2"]);
    });

    test("take turns when there are more of them than one page", async () => {
      const queues = Array.from({ length: 250 }, (_, n) => `q${1000 + n}`);
      for (const queue of queues) await store.enqueue(queue, ["1", "2"]);
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      const next = async (after: string) => {
        actor.after = after;
        return (await actor.next(worker, SUCCESS))!.queue;
      };
      expect(await next("q1149")).toBe("q1150");
      expect(await next("q1249")).toBe("q1000");
      for (const queue of queues.slice(120)) await store.removeQueue(queue);
      expect(await next("q1110")).toBe("q1111");
      expect(await next("q1119")).toBe("q1000");
    });
  });

  describe("queues of nodes", () => {
    test("a queue that a node announced is fetched by that node alone", async () => {
      await store.announceNode("n1", ["x:node:n1"], 20_000, 3_600_000);
      await store.enqueue("x:node:n1", ["own"]);
      await store.enqueue("x:node:y", ["anybody's"]);
      const other = await Actor.start(store, "o", ["*"], "n2");
      const own = await Actor.start(store, "p", ["*"], "n1");
      const [first, second] = [await other.worker(), await own.worker()];
      expect((await other.next(first))!.raw).toBe("anybody's");
      expect(await other.next(first, SUCCESS)).toBeUndefined();
      expect((await own.next(second))!.raw).toBe("own");
    });

    test("jobs that were there before the announcement become the node's", async () => {
      await store.enqueue("x", ["own"]);
      await store.announceNode("n1", ["x"], 20_000, 3_600_000);
      const other = await Actor.start(store, "o", ["*"], "n2");
      const own = await Actor.start(store, "p", ["*"], "n1");
      expect(await other.next(await other.worker())).toBeUndefined();
      expect((await own.next(await own.worker()))!.raw).toBe("own");
    });

    test("only announced queues of nodes that are gone are removed", async () => {
      await store.announceNode("n1", ["x:node:n1"], 20_000, 3_600_000);
      await store.enqueue("x:node:n1", ["a"]);
      await store.enqueue("anything:node:anything", ["b"]);
      expect(await store.liveNodes()).toEqual(["n1"]);
      await advance(20_001);
      expect(await store.liveNodes()).toEqual([]);
      expect(await store.removeQueuesOfLostNodes()).toEqual([]);
      await advance(3_600_000);
      expect(await store.removeQueuesOfLostNodes()).toEqual(["x:node:n1"]);
      expect(await store.queues()).toEqual(["anything:node:anything"]);
    });

    test("a job for a node is fetched by that node alone, though the node was never announced", async () => {
      const node = "n1";
      const due = { inMs: 0 };
      const unique = { key: "k", class: "c" };
      const next = { queue: "x:e", raw: jobText("x:e", "c"), due };
      await store.enqueue("x:a", ["a"], { node });
      await store.enqueue("x:b", ["b", "b"], { node });
      await store.enqueue("x:c", ["c"], { node, unique });
      const delayed = { queue: "x:d", raw: jobText("x:d", "c") };
      await store.delay(delayed, due, { node });
      await store.plan({ task: "c", node, remove: [], next });
      const effect: Effect = {
        do: "planRun",
        task: "other",
        node,
        remove: [],
        next: { queue: "x:f", raw: jobText("x:f", "c"), due },
        unlessStopped: false,
      };
      const own = await Actor.start(store, "p", ["*"], "n1");
      const worker = await own.worker();
      await store.apply(worker, [effect]);
      await advance(1);
      expect((await store.promote(500)).moved).toHaveLength(3);
      const other = await Actor.start(store, "o", ["*"], "n2");
      expect(await other.next(await other.worker())).toBeUndefined();
      const queues = ["x:a", "x:b", "x:b", "x:c", "x:d", "x:e", "x:f"];
      const fetched: string[] = [];
      for (const _ of queues)
        fetched.push((await own.next(worker, SUCCESS))!.queue);
      expect(fetched.sort()).toEqual(queues);
      // they are kept until the node has had the time to announce itself
      expect(await store.removeQueuesOfLostNodes()).toEqual([]);
      await advance(3_600_001);
      expect(await store.removeQueuesOfLostNodes()).toHaveLength(6);
    });

    test("the next runs of a node that is gone are removed with its queues", async () => {
      const due = { inMs: 86_400_000 };
      for (const node of ["n1", "n2"]) {
        const next = {
          queue: `x:${node}`,
          raw: jobText(`x:${node}`, "c"),
          due,
        };
        await store.announceNode(node, [next.queue], 20_000, 3_600_000);
        await store.plan({ task: "c", node, remove: [], next });
      }
      await advance(3_600_000);
      await store.announceNode("n2", ["x:n2"], 20_000, 3_600_000);
      expect(await store.removeQueuesOfLostNodes()).toEqual(["x:n1"]);
      expect(await store.scheduledAt(jobText("x:n1", "c"))).toEqual([]);
      expect(await store.scheduledAt(jobText("x:n2", "c"))).toHaveLength(1);
    });

    test("a delayed job of a node that is gone never goes to another node", async () => {
      const hour = 3_600_000;
      const due = { inMs: 5 * hour };
      const names = ["enqueued", "retried"];
      const [enqueued, retried] = names.map((name) => ({
        queue: `x:${name}`,
        raw: jobText(`x:${name}`, "c"),
      }));
      await store.announceNode("n1", ["x:retried"], 20_000, hour);
      await store.delay(enqueued, due, { node: "n1" });
      const own = await Actor.start(store, "p", ["*"], "n1");
      const other = await Actor.start(store, "o", ["*"], "n2");
      const [ownWorker, worker] = [await own.worker(), await other.worker()];
      await store.apply(ownWorker, [{ do: "delay", ...retried, due }]);

      await advance(hour);
      expect(await store.removeQueuesOfLostNodes()).toEqual([]);
      await advance(4 * hour);
      expect(await store.removeQueuesOfLostNodes()).toEqual([]);
      expect((await store.promote(500)).moved).toHaveLength(2);
      await store.sweepQueues(1);
      expect(await other.next(worker)).toBeUndefined();
      // it has come back
      expect((await own.next(ownWorker))!.raw).toBe(enqueued.raw);
      expect(await store.removeQueuesOfLostNodes()).toHaveLength(2);
      expect(await own.next(ownWorker, SUCCESS)).toBeUndefined();

      // the owner is forgotten when nothing of the node is left
      await advance(hour);
      await store.removeQueuesOfLostNodes();
      await store.enqueue("x:retried", ["anybody's"]);
      expect((await other.next(worker))!.raw).toBe("anybody's");
    });

    test("each live node is assigned a queue", async () => {
      await store.announceNode("n1", [], 20_000, 3_600_000);
      await store.announceNode("n2", [], 1, 3_600_000);
      await advance(2);
      expect(await store.assignQueues("named:")).toEqual(["named:n1"]);
      await store.enqueue("named:n1", ["own"]);
      const other = await Actor.start(store, "o", ["*"], "n2");
      expect(await other.next(await other.worker())).toBeUndefined();
    });

    test("a node that retires is not alive", async () => {
      await store.announceNode("n1", [], 20_000, 3_600_000);
      await store.retireNode("n1");
      expect(await store.liveNodes()).toEqual([]);
    });
  });

  describe("delayed jobs", () => {
    test("a job goes to its queue at its exact time, not before", async () => {
      await store.delay(job("a"), { inMs: 1500 });
      await advance(1400);
      expect((await store.promote(500)).moved).toEqual([]);
      await advance(100);
      expect((await store.promote(500)).moved).toHaveLength(1);
      expect(await store.jobs("q", 0, -1)).toEqual([job("a").raw]);
      expect(await store.delayedSeconds()).toEqual([]);
      expect(await store.promote(500)).toEqual({ moved: [] });
    });

    test("the bucket of a time is that of the nearest second", async () => {
      const now = await store.now();
      const whole = Math.floor(now / 1000) + 10;
      await store.delay(job("a"), { atMs: whole * 1000 + 499 });
      await store.delay(job("b"), { atMs: whole * 1000 + 500 });
      expect(await store.delayedSeconds()).toEqual([whole, whole + 1]);
      expect(await store.scheduledAt(job("b").raw)).toEqual([whole + 1]);
      expect(await store.delayedJobs(whole)).toEqual([job("a").raw]);
    });

    test("a promotion says when the next one is due", async () => {
      const now = await store.now();
      await store.delay(job("a"), { atMs: now + 40_000 });
      const { nextInMs } = await store.promote(500);
      // a foreign job may lie in the same second
      expect(nextInMs).toBeGreaterThan(38_000);
      expect(nextInMs).toBeLessThanOrEqual(40_000);
    });

    test("times in the past are due at once, and stored as given", async () => {
      await store.delay(job("a"), { atMs: 1_600_000 });
      expect(await store.delayedSeconds()).toEqual([1600]);
      expect((await store.promote(500)).moved).toEqual([
        { second: "1600", raw: job("a").raw },
      ]);
    });

    test("the same job at the same second is refused", async () => {
      const now = (await store.now()) + 60_000;
      const first = await store.delay(job("a"), { atMs: now });
      const second = await store.delay(job("a"), { atMs: now });
      expect(first).toMatchObject({ state: "added" });
      expect(second).toMatchObject({ state: "duplicate" });
    });

    test.each([
      ["names none", '{"class":"a","args":[{"n":1}]}'],
      ["names another", '{"class":"a","queue":"b","args":[{"n":1}]}'],
      ["names null", '{"class":"a","queue":null,"args":[{"n":1}]}'],
      ["has its keys in another order", '{ "args": [{"n":1}], "class": "a" }'],
    ])("a job that %s goes back to its queue", async (_what, raw) => {
      const due = { inMs: 0 };
      const effect: Effect = { do: "delay", queue: "q", raw, due };
      await store.apply(workerIdentity("p:1", "*"), [effect]);
      const text = jobText("q", "a", { n: 1 });
      expect((await store.promote(500)).moved).toMatchObject([{ raw: text }]);
      expect(await store.jobs("q", 0, -1)).toEqual([text]);
      expect(await store.delay({ queue: "q", raw }, due)).toEqual({
        state: "added",
      });
      expect((await store.promote(500)).moved).toMatchObject([{ raw: text }]);
      expect(await store.failedCount()).toBe(0);
    });

    test("a removed job is due no more", async () => {
      await store.delay(job("a"), { atMs: 5_000 });
      await store.delay(job("a"), { atMs: 9_000 });
      expect((await store.removeDelayed(job("a").raw)).sort()).toEqual([5, 9]);
      expect(await store.removeDelayed(job("a").raw)).toEqual([]);
      expect((await store.promote(500)).moved).toEqual([]);
    });

    test("ten thousand jobs of one second go at their exact times", async () => {
      const start = Math.ceil((await store.now()) / 1000) * 1000 + 60_000;
      const added: Promise<unknown>[] = [];
      for (let i = 0; i < 10_000; i++) {
        const raw = jobText("q", "a", i);
        const atMs = start - 500 + ((i * 7919) % 1000);
        added.push(store.delay({ queue: "q", raw }, { atMs }));
      }
      await Promise.all(added);
      expect(await store.delayedSeconds()).toEqual([start / 1000]);
      const moved = new Set<string>();
      const early: string[] = [];
      await advance(start - 500 - (await store.now()) - 1);
      const begin = performance.now();
      while (moved.size < 10_000) {
        const promotion = await store.promote(500);
        // an exact time is never later than the time after the promotion
        const now = await store.now();
        for (const { raw } of promotion.moved) {
          const atMs = start - 500 + ((JSON.parse(raw).args[0] * 7919) % 1000);
          if (moved.has(raw) || atMs > now) early.push(raw);
          moved.add(raw);
        }
        await advance(25);
      }
      expect(early).toEqual([]);
      expect(performance.now() - begin).toBeLessThan(30_000);
      expect(await store.lengths(["q"])).toEqual({
        q: { queued: 10_000, waiting: 0 },
      });
      expect(await store.delayedSeconds()).toEqual([]);
    }, 60_000);

    test("an addition that is due earlier wakes the scheduler", async () => {
      await store.delay(job("a"), { inMs: 60_000 });
      // the first one woke it as well
      await store.wait("scheduler", 100, store.mark()).done;
      const waiting = store.wait("scheduler", 10_000, store.mark());
      await store.delay(job("b"), { inMs: 50 });
      expect(await waiting.done).toBe(true);
    });
  });

  describe("unique and tracked jobs", () => {
    const unique = { key: "k", class: "a" };

    test("a unique job is held while it is queued, delayed or running", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      const { raw } = job("a");
      const add = () => store.enqueue("q", [raw], { unique });
      expect(await add()).toMatchObject({ state: "added" });
      expect(await add()).toMatchObject({ state: "held" });
      expect(
        await store.delay(job("a"), { inMs: 5 }, { unique }),
      ).toMatchObject({ state: "held" });
      await actor.next(worker);
      expect(await add()).toMatchObject({ state: "held" });
      const effects: Effect[] = [{ do: "unlockUnique", key: "k", raw }];
      await actor.report(worker, { kind: "success", effects });
      expect(
        await store.delay(job("a"), { inMs: 5 }, { unique }),
      ).toMatchObject({ state: "added" });
      expect(await add()).toMatchObject({ state: "held" });
    });

    test("a lock whose job no longer exists has no effect", async () => {
      await store.enqueue("q", [job("a").raw], { unique });
      await store.removeQueue("q");
      expect(
        await store.enqueue("q", [job("a").raw], { unique }),
      ).toMatchObject({ state: "added" });
    });

    test("a job that goes on with another text keeps its lock", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", [job("a").raw], { unique });
      await actor.next(worker);
      const next = job("a", 2);
      await actor.report(worker, {
        kind: "retried",
        effects: [
          { do: "delay", ...next, due: { inMs: 1000 } },
          { do: "moveUnique", key: "k", raw: next.raw },
        ],
      });
      expect(
        await store.enqueue("q", [job("a").raw], { unique }),
      ).toMatchObject({ state: "held" });
    });

    test("what is known about a job follows it, for a day after its last change", async () => {
      const track = { id: "1", class: "a" };
      await store.enqueue("q", [job("a").raw], { track });
      expect(await store.jobInfo("1")).toEqual({
        id: "1",
        state: "queued",
        class: "a",
        queue: "q",
        attempt: 1,
      });
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      const { raw } = (await actor.next(worker))!;
      const held = { id: "1", worker, raw };
      await store.updateJob(held, { state: "running", progress: '{"at":5}' });
      expect(await store.jobInfo("1")).toMatchObject({ state: "running" });
      const fields = { state: "done", result: "[1]" } as const;
      const effects: Effect[] = [{ do: "updateJob", id: "1", fields }];
      await actor.report(worker, { kind: "success", effects });
      expect(await store.jobInfo("1")).toMatchObject({
        state: "done",
        result: [1],
        progress: { at: 5 },
      });
      await advance(86_400_001);
      expect(await store.jobInfo("1")).toBeUndefined();
    });

    test("a change of an unknown job leaves nothing behind", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", [job("a").raw]);
      const { raw } = (await actor.next(worker))!;
      await store.updateJob({ id: "ghost", worker, raw }, { state: "running" });
      expect(await store.jobInfo("ghost")).toBeUndefined();
    });

    test("a change that comes after the report of the job has no effect", async () => {
      const track = { id: "1", class: "a" };
      await store.enqueue("q", [job("a").raw], { track });
      await store.enqueue("q", [job("b").raw]);
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      const { raw } = (await actor.next(worker))!;
      const fields = { state: "done" } as const;
      await actor.next(worker, {
        kind: "success",
        effects: [{ do: "updateJob", id: "1", fields }],
      });
      await store.updateJob({ id: "1", worker, raw }, { state: "running" });
      expect(await store.jobInfo("1")).toMatchObject({ state: "done" });
    });

    test("an idempotency key adds one job in a day", async () => {
      const add = (id: string) =>
        store.enqueue("q", [job("a", id).raw], {
          track: { id, class: "a" },
          idempotencyKey: "order 5",
        });
      expect(await add("1")).toMatchObject({ state: "added" });
      expect(await add("2")).toEqual({ state: "known", id: "1" });
      expect(await store.jobInfo("2")).toBeUndefined();
      expect(await store.jobs("q", 0, -1)).toHaveLength(1);
      await advance(86_400_001);
      expect(await add("3")).toMatchObject({ state: "added" });
    });

    test("what is known about a delayed job, its lock and its key are kept until a day after it is due", async () => {
      const day = 86_400_000;
      const unique = { key: "a1", class: "a" };
      const add = (id: string, idempotencyKey: string) =>
        store.delay(
          job("a"),
          { inMs: 40 * day },
          { unique, track: { id, class: "a" }, idempotencyKey },
        );
      expect(await add("1", "order 5")).toMatchObject({ state: "added" });
      await advance(40 * day - 1_000);
      expect(await store.jobInfo("1")).toMatchObject({ state: "delayed" });
      expect(await add("2", "order 5")).toEqual({ state: "known", id: "1" });
      expect(await add("3", "order 6")).toMatchObject({ state: "held" });
      await advance(day);
      expect(await store.jobInfo("1")).toMatchObject({ state: "delayed" });
      await advance(2_000);
      expect(await store.jobInfo("1")).toBeUndefined();
    });
  });

  describe("concurrency slots", () => {
    async function twoWorkers(jobs = [job("a", 1), job("a", 2)]) {
      const actor = await Actor.start(store, "p");
      const workers = [await actor.worker("p:1"), await actor.worker("p:2")];
      await store.enqueue(
        "q",
        jobs.map(({ raw }) => raw),
      );
      await actor.next(workers[0]);
      await actor.next(workers[1]);
      const acquire = (which: number) =>
        store.acquireSlot({
          process: "p",
          worker: workers[which],
          class: "a",
          limit: 1,
          job: jobs[which],
        });
      return { actor, workers, acquire };
    }

    test("a job waits while the slots are taken, and goes to its queue when one is free", async () => {
      const { actor, workers, acquire } = await twoWorkers();
      expect(await acquire(0)).toBe("acquired");
      expect(await acquire(0)).toBe("acquired");
      expect(await acquire(1)).toBe("waiting");
      expect(await acquire(1)).toBe("waiting");
      expect(await actor.next(workers[1])).toBeUndefined();
      await actor.report(workers[0], {
        kind: "success",
        effects: [{ do: "releaseSlot", class: "a" }],
      });
      expect(await actor.next(workers[1])).toEqual(job("a", 2));
    });

    test("a call that comes again after its job leaves the next job of the worker alone", async () => {
      const { actor, workers, acquire } = await twoWorkers();
      await acquire(0);
      await store.enqueue("q", [job("b").raw]);
      expect(await actor.next(workers[1], SUCCESS)).toEqual(job("b"));
      expect(await acquire(1)).toBe("waiting");
      expect(await store.lengths(["q"])).toEqual({
        q: { queued: 0, waiting: 0 },
      });
      const [record] = await store.records([workers[1].member]);
      expect(record.record).toContain(job("b").raw);
    });

    test("waiting jobs are listed, counted and removed with those of their queue", async () => {
      const { acquire } = await twoWorkers();
      await acquire(0);
      await acquire(1);
      await store.enqueue("q", [job("b").raw]);
      expect(await store.lengths(["q", "none"])).toEqual({
        q: { queued: 1, waiting: 1 },
        none: { queued: 0, waiting: 0 },
      });
      expect(await store.jobs("q", 0, -1)).toEqual([
        job("b").raw,
        job("a", 2).raw,
      ]);
      expect(await store.jobs("q", 1, 1)).toEqual([job("a", 2).raw]);
      expect(await store.jobs("q", -1, -1)).toEqual([job("a", 2).raw]);
      expect(await store.isQueued("q", job("a", 2).raw)).toBe(true);
      expect(await store.removeJobs("q", [job("a", 2).raw])).toBe(1);
      expect(await store.isQueued("q", job("a", 2).raw)).toBe(false);
      expect(await store.lengths(["q"])).toEqual({
        q: { queued: 1, waiting: 0 },
      });
    });

    test("waiting jobs that carry a context are removed by their bare text", async () => {
      const { acquire } = await twoWorkers([
        carried("a", "1"),
        carried("a", "2"),
      ]);
      await acquire(0);
      expect(await acquire(1)).toBe("waiting");
      expect(await store.isQueued("q", job("a").raw)).toBe(true);
      expect(await store.removeJobs("q", [job("a").raw])).toBe(1);
      expect((await store.lengths(["q"])).q.waiting).toBe(0);
    });

    test("a removed queue takes its waiting jobs along", async () => {
      const { acquire } = await twoWorkers();
      await acquire(0);
      await acquire(1);
      await store.removeQueue("q");
      expect(await store.jobs("q", 0, -1)).toEqual([]);
      expect(await store.queues()).toEqual([]);
    });

    test("a class that lost its limit lets all its jobs go", async () => {
      const { workers, acquire } = await twoWorkers();
      await acquire(0);
      await acquire(1);
      await store.enqueue("q", [job("a", 3).raw]);
      await store.sweepSlots({ a: null });
      expect((await store.jobs("q", 0, -1)).sort()).toEqual(
        [job("a", 2).raw, job("a", 3).raw].sort(),
      );
      expect(workers).toHaveLength(2);
    });

    test("a raised limit calls as many as there are free slots", async () => {
      const { acquire } = await twoWorkers();
      await acquire(0);
      await acquire(1);
      await store.sweepSlots({ a: 1 });
      expect((await store.lengths(["q"])).q.waiting).toBe(1);
      await store.sweepSlots({ a: 2 });
      expect((await store.lengths(["q"])).q.waiting).toBe(0);
    });

    test("a worker that leaves frees its slot", async () => {
      const { actor, workers, acquire } = await twoWorkers();
      await acquire(0);
      await acquire(1);
      await store.leave("p", workers[0]);
      const found = [
        await actor.next(workers[1]),
        await actor.next(workers[1], SUCCESS),
      ];
      expect(found).toEqual(expect.arrayContaining([job("a", 1), job("a", 2)]));
    });

    test("a worker that does not hold the job gets no slot", async () => {
      const { acquire } = await twoWorkers();
      await store.deregister("p");
      expect(await acquire(0)).toBe("lost");
    });
  });

  describe("processes", () => {
    test("two live processes cannot have a worker of one name", async () => {
      const first = await Actor.start(store, "p");
      const worker = await first.worker();
      await Actor.start(store, "o");
      expect(await store.join("o", worker, 1000)).toBe("taken");
      expect(await store.join("p", worker, 1000)).toBe("joined");
      await store.deregister("p");
      expect(await store.join("o", worker, 1000)).toBe("joined");
      expect(await store.join("p", worker, 1000)).toBe("fenced");
    });

    test("an idle worker may leave and a busy one stays, when asked so", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", [job("a").raw]);
      await actor.next(worker);
      expect(await store.leave("p", worker, true)).toMatchObject({
        what: "running",
        ...job("a"),
      });
      await actor.report(worker, SUCCESS);
      expect(await store.leave("p", worker, true)).toMatchObject({
        what: "idle",
      });
      expect(await store.workers()).toEqual([]);
    });

    test("the jobs of a process that ends are requeued", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", [job("a").raw]);
      await actor.next(worker);
      expect(await store.deregister("p")).toEqual([
        { what: "requeued", member: worker.member, ...job("a") },
      ]);
      expect(await store.jobs("q", 0, -1)).toEqual([job("a").raw]);
      expect(await store.workers()).toEqual([]);
      expect(await store.renew("p", 1000, [], [])).toBeUndefined();
    });

    test("a process whose lease is over is reaped, and others see it", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", [job("a").raw]);
      await actor.next(worker);
      expect(await store.reap("p", 0)).toBeUndefined();
      await advance(20_000);
      const renewal = await store.renew("p", 30_000, [worker], []);
      expect(renewal).toMatchObject({ expired: [] });
      await advance(30_001);
      const other = await store.register("o", 30_000, "o");
      expect(other.expired).toEqual(["p"]);
      expect(Math.abs(other.nowMs - (await store.now()))).toBeLessThan(1000);
      expect(await store.reap("p", 60_000)).toBeUndefined();
      expect(await store.reap("p", 0)).toMatchObject([
        { what: "requeued", ...job("a") },
      ]);
      const late = await actor.exchange([
        { worker, outcome: SUCCESS, want: true },
      ]);
      expect(late).toBe("fenced");
    });

    test("a job that killed three workers goes to the failed list", async () => {
      await store.enqueue("q", [job("a").raw]);
      for (let i = 0; i < 3; i++) {
        const actor = await Actor.start(store, `p${i}`);
        const worker = await actor.worker();
        await actor.next(worker);
        await store.startAlone(`p${i}`, worker);
        await advance(30_001);
        const [returned] = (await store.reap(`p${i}`, 0))!;
        expect(returned.what).toBe(i < 2 ? "requeued" : "failed");
      }
      const [entry] = await store.failed(0, -1);
      expect(JSON.parse(entry)).toMatchObject({
        worker: "p2:1",
        queue: "q",
        payload: { class: "a" },
        exception: "WorkerCrashed",
      });
    });

    test("a tracked job that fails without a report is failed, and queued when it is retried", async () => {
      const raw = jobText("q", "a", {}, { ah: { id: "7" } });
      const track = { id: "7", class: "a" };
      await store.enqueue("q", [raw], { track });
      for (let i = 0; i < 3; i++) {
        const actor = await Actor.start(store, `p${i}`);
        const worker = await actor.worker();
        await actor.next(worker);
        await store.startAlone(`p${i}`, worker);
        const held = { id: "7", worker, raw };
        await store.updateJob(held, { state: "running", attempt: 2 });
        await advance(30_001);
        await store.reap(`p${i}`, 0);
      }
      const error = "the worker died while it ran this job";
      const failed = { state: "failed", attempt: 2, error };
      expect(await store.jobInfo("7")).toMatchObject(failed);
      const [entry] = await store.failed(0, -1);
      await store.retryFailed(entry, { queue: "q", raw });
      const info = await store.jobInfo("7");
      expect(info).toMatchObject({ state: "queued" });
      expect(info).not.toHaveProperty("error");
    });

    test("a tracked job whose worker is removed by hand is failed", async () => {
      const raw = jobText("q", "a", {}, { ah: { id: "7" } });
      await store.enqueue("q", [raw], { track: { id: "7", class: "a" } });
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await actor.next(worker);
      const entry = JSON.stringify({ error: "killed manually" });
      const [seen] = await store.records([worker.member]);
      expect(await store.removeWorker(seen, worker.name, entry)).toBe(true);
      const failed = { state: "failed", error: "killed manually" };
      expect(await store.jobInfo("7")).toMatchObject(failed);
    });

    test("the unique lock of a failed job is released, unless the job was added again", async () => {
      const { queue, raw } = job("a");
      const unique = { key: "k", class: "a" };
      const add = () => store.enqueue(queue, [raw], { unique });
      await add();
      await store.removeJobs(queue, [raw]);
      await add(); // by a producer that was faster
      await store.releaseUnique(unique, { queue, raw });
      expect(await add()).toMatchObject({ state: "held" });

      await store.removeJobs(queue, [raw]);
      await store.releaseUnique(unique, { queue, raw });
      // without the lock, a copy of the job that another program adds keeps nobody out
      await store.enqueue(queue, [raw]);
      expect(await add()).toMatchObject({ state: "added" });
    });

    describe("a job whose workers died twice", () => {
      const [poison, one, two] = [job("poison"), job("one"), job("two")];

      /** Its process and the job's neighbours die, and the job goes back to the head of its queue. */
      async function die(id: string, queues?: string[]): Promise<void> {
        const actor = await Actor.start(store, id, queues);
        await actor.next(await actor.worker());
        await advance(30_001);
        await store.reap(id, 0);
      }

      async function threeWorkers() {
        const actor = await Actor.start(store, "p");
        const names = ["p:1", "p:2", "p:3"];
        const workers: WorkerIdentity[] = [];
        for (const name of names) workers.push(await actor.worker(name));
        const all = workers.map((worker) => ({
          worker,
          outcome: NO_OUTCOME,
          want: true,
        }));
        return { actor, workers, all };
      }

      beforeEach(async () => {
        await store.enqueue("q", [poison.raw, one.raw, two.raw]);
        for (const id of ["first", "second"]) await die(id);
      });

      test("is the last one that its process gets until it is reported", async () => {
        await store.enqueue("a", ["before"]);
        const { actor, workers, all } = await threeWorkers();
        const reply = { problems: [], alone: 1 };
        const before = { queue: "a", raw: "before" };
        const jobs = [before, poison, undefined];
        expect(await actor.exchange(all)).toEqual({ jobs, ...reply });
        // a reply that was lost is sent again
        expect(await actor.exchange(all, actor.number)).toEqual({
          jobs,
          ...reply,
        });
        expect(await actor.next(workers[0], SUCCESS)).toBeUndefined();
        expect(await actor.next(workers[2])).toBeUndefined();
        // other processes go on
        const other = await Actor.start(store, "o");
        expect(await other.next(await other.worker())).toEqual(one);

        await actor.report(workers[1], SUCCESS);
        expect(await actor.next(workers[2])).toEqual(two);
      });

      test("is not suspected any more once it has run", async () => {
        const { actor, workers } = await threeWorkers();
        expect(await actor.next(workers[0])).toEqual(poison);
        await actor.report(workers[0], SUCCESS);
        await store.enqueue("a", [poison.raw]);
        await store.enqueue("b", [poison.raw]);
        const [worker, other] = workers;
        const reply = await actor.exchange([
          { worker, outcome: NO_OUTCOME, want: true },
          { worker: other, outcome: NO_OUTCOME, want: true },
        ]);
        expect(reply).toMatchObject({ jobs: [{ queue: "a" }, { queue: "b" }] });
        expect(reply).not.toHaveProperty("alone");
      });

      test("is not suspected after an hour, though other jobs are", async () => {
        await advance(2_400_000);
        await store.enqueue("other", [poison.raw]);
        for (const id of ["third", "fourth"]) await die(id, ["other"]);
        await advance(1_800_000);
        const { actor, all } = await threeWorkers();
        actor.queues.unshift("q");
        const jobs = [poison, one, two];
        expect(await actor.exchange(all)).toEqual({ jobs, problems: [] });
      });

      test("runs alone in one process of the cluster at a time: others pass it over, and have their turn", async () => {
        const suspect = job("suspect");
        await store.enqueue("other", [suspect.raw]);
        for (const id of ["third", "fourth"]) await die(id, ["other"]);
        const { actor, workers } = await threeWorkers();
        const [worker] = workers;
        actor.queues.splice(0, 1, "q", "other");
        expect(await actor.next(worker)).toEqual(poison);

        const other = await Actor.start(store, "o", ["other", "q"]);
        const free = await other.worker();
        await store.enqueue("other", ["behind"]);
        const behind = { queue: "other", raw: "behind" };
        expect(await other.next(free)).toEqual(behind);
        await advance(20_000);
        expect(await other.next(free, SUCCESS)).toEqual(one);
        expect(await store.jobs("other", 0, -1)).toEqual([suspect.raw]);

        // as long as the first one ran
        actor.queues.reverse();
        expect(await actor.next(worker, SUCCESS)).toEqual(two);
        expect(await other.next(free, SUCCESS)).toBeUndefined();
        await advance(19_000);
        expect(await other.next(free)).toBeUndefined();
        await advance(10_000);
        expect(await other.next(free)).toEqual({
          queue: "other",
          raw: suspect.raw,
        });
      });

      test("stays under suspicion for as long as it waits for its turn", async () => {
        const suspect = job("suspect");
        await store.enqueue("other", [suspect.raw]);
        for (const id of ["third", "fourth"]) await die(id, ["other"]);
        const { actor, workers } = await threeWorkers();
        expect(await actor.next(workers[0])).toMatchObject({ queue: "other" });
        for (let i = 0; i < 4; i++) {
          await advance(1_200_000);
          const other = await Actor.start(store, `o${i}`);
          expect((await other.next(await other.worker()))?.raw).not.toBe(
            poison.raw,
          );
        }
        await actor.report(workers[0], SUCCESS);
        for (let i = 0; i < 4; i++) {
          expect(await actor.next(workers[1])).toBeUndefined();
          await advance(1_210_000);
        }
        const slot = { worker: workers[1], outcome: NO_OUTCOME, want: true };
        const reply = { jobs: [poison], problems: [], alone: 0 };
        expect(await actor.exchange([slot])).toEqual(reply);
      });

      test("is not blamed for a death before it has started", async () => {
        await die("third", ["q"]);
        const { actor, workers } = await threeWorkers();
        const [worker] = workers;
        actor.queues.unshift("q");
        expect(await actor.next(worker)).toEqual(poison);
        expect(await store.startAlone("p", workers[1])).toBe(false);
        expect(await store.startAlone("p", worker)).toBe(true);
        await advance(30_001);
        const ended = await store.reap("p", 0);
        expect(ended!.filter(({ what }) => what !== "idle")).toMatchObject([
          { what: "failed", raw: poison.raw },
        ]);
      });

      test("does not wait for a process that died with another one", async () => {
        const suspect = job("suspect");
        await store.enqueue("other", [suspect.raw]);
        for (const id of ["third", "fourth"]) await die(id, ["other"]);
        await die("fifth", ["q"]);
        const { actor, workers } = await threeWorkers();
        actor.queues.unshift("other");
        expect((await actor.next(workers[0]))?.raw).toBe(suspect.raw);
      });

      test("does not hide the jobs behind it, however many there are", async () => {
        const many = Array.from({ length: 250 }, (_, n) => job(`many${n}`).raw);
        await store.enqueue("many", many);
        for (const id of ["third", "fourth"]) {
          const actor = await Actor.start(store, id, ["many"]);
          for (const raw of many) {
            const worker = await actor.worker(`${id}:${raw.length}:${raw}`);
            await actor.next(worker);
          }
          await advance(30_001);
          await store.reap(id, 0);
        }
        const { actor, workers } = await threeWorkers();
        actor.queues.unshift("q");
        expect(await actor.next(workers[0])).toEqual(poison);
        await store.enqueue("many", ["behind"]);
        const other = await Actor.start(store, "o", ["many"]);
        const free = await other.worker();
        let found: QueuedJob | undefined;
        for (let i = 0; i < 3 && !found; i++) found = await other.next(free);
        expect(found).toEqual({ queue: "many", raw: "behind" });
        expect((await store.jobs("many", 0, -1)).sort()).toEqual(many.sort());
      });

      test("is given back by a worker that leaves, and its process goes on", async () => {
        const { actor, workers } = await threeWorkers();
        expect(await actor.next(workers[0])).toEqual(poison);
        await store.pause("q");
        await store.leave("p", workers[0]);
        await store.enqueue("a", ["x"]);
        expect((await actor.next(workers[1]))!.raw).toBe("x");
        expect(await store.jobs("q", 0, 0)).toEqual([poison.raw]);
      });
    });

    test("a lease that was set while the clock was ahead ends in time after the clock was set back", async () => {
      await advance(3_600_000);
      await Actor.start(store, "dead");
      await store.register("slow", 120_000, "connection slow");
      await Actor.start(store, "p");
      await advance(-3_600_000);
      const renew = async () =>
        (await store.renew("p", 30_000, [], []))!.expired.sort();
      expect(await renew()).toEqual([]);
      await advance(20_000);
      expect(await renew()).toEqual([]);
      await advance(20_000);
      expect(await renew()).toEqual(["dead"]);
      await advance(100_000);
      expect(await renew()).toEqual(["dead", "slow"]);
    });

    test("processes without a connection are told from those that are only late", async () => {
      await Actor.start(store, "p");
      context.dead.add("connection p");
      expect(await store.findDisconnected(["p"])).toEqual(["p"]);
    });

    test("locks of a worker end with it, and are renewed with its process", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      const key = `${context.prefix}lock:a`;
      const request = { key, seconds: 60, owned: true };
      const lock = (await store.takeLock({ ...request, worker }))!;
      expect(await store.takeLock(request)).toBeUndefined();
      expect(await store.takeLock({ ...request, worker })).toEqual(lock);
      await advance(50_000);
      await store.renew("p", 30_000, [worker], [lock]);
      await advance(50_000);
      expect(await store.takeLock(request)).toBeUndefined();
      expect(Object.keys(await store.locks())).toEqual(["lock:a"]);
      await store.leave("p", worker);
      expect(await store.takeLock({ ...request, worker })).toBeUndefined();
      expect(await store.takeLock(request)).toMatchObject(held(key));
    });
  });

  describe("locks", () => {
    test("a lock ends by itself, and its value is the second after that", async () => {
      const key = `${context.prefix}lock:a`;
      const now = Math.floor((await store.now()) / 1000);
      const lock = (await store.takeLock({ key, seconds: 10 }))!;
      expect(Number(lock.value) - now - 11).toBeGreaterThanOrEqual(0);
      expect(Number(lock.value) - now - 11).toBeLessThanOrEqual(1);
      await advance(10_001);
      expect(await store.takeLock({ key, seconds: 10 })).toMatchObject(
        held(key),
      );
    });

    test("a lock outside of any worker is renewed by its owner alone", async () => {
      const key = `${context.prefix}lock:a`;
      const request = { key, seconds: 10, owned: true };
      const lock = (await store.takeLock(request))!;
      await advance(8_000);
      await store.renewLocks([{ ...lock, value: "1" }]);
      await store.renewLocks([lock]);
      await advance(8_000);
      expect(await store.takeLock(request)).toBeUndefined();
      await store.renewLocks([{ ...lock, value: "1" }]);
      await advance(2_001);
      expect(await store.takeLock(request)).toMatchObject(held(key));
    });

    test("only the owner releases a lock", async () => {
      const key = `${context.prefix}lock:a`;
      const request = { key, seconds: 10, owned: true };
      const lock = (await store.takeLock(request))!;
      await store.releaseLock({ key, value: "1" });
      expect(await store.takeLock(request)).toBeUndefined();
      await store.releaseLock(lock);
      expect(await store.takeLock(request)).toMatchObject(held(key));
      expect(await store.removeLock(key)).toBe(1);
      expect(await store.removeLock(key)).toBe(0);
    });

    test("the lock of a queued job counts while its job is there", async () => {
      const key = `${context.prefix}lock:q`;
      const request = { key, seconds: 600, believedSeconds: 5, job: job("a") };
      expect(await store.takeQueueLock(request)).toBe(true);
      expect(await store.takeQueueLock(request)).toBe(false);
      await store.enqueue("q", [job("a").raw]);
      await advance(10_000);
      expect(await store.takeQueueLock(request)).toBe(false);
      await store.removeQueue("q");
      expect(await store.takeQueueLock(request)).toBe(true);
    });
  });

  describe("jobs that carry a context", () => {
    test("are fetched with it, and are removed by their bare text, from either end", async () => {
      const texts = ["1", "2", "3", "4"].map((id) => carried("a", id).raw);
      const other = carried("b", "5").raw;
      await store.enqueue("q", [texts[0], job("a").raw, other]);
      await store.enqueue("q", texts.slice(1));
      expect(await store.removeJobs("q", [job("a").raw], 1)).toBe(1);
      expect(await store.removeJobs("q", [job("a").raw], -2)).toBe(2);
      expect(await store.jobs("q", 0, -1)).toEqual([
        job("a").raw,
        other,
        texts[1],
      ]);
      expect(await store.isQueued("q", job("b").raw)).toBe(true);
      expect(await store.isQueued("q", job("c").raw)).toBe(false);
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await actor.next(worker);
      expect(await actor.next(worker, SUCCESS)).toEqual(carried("b", "5"));
      expect(await store.removeJobs("q", [job("a").raw, other])).toBe(1);
      expect(await store.jobs("q", 0, -1)).toEqual([]);
      expect(await store.removeJobs("q", [job("a").raw])).toBe(0);
    });

    test("one with a context is removed alone by its whole text", async () => {
      const [one, two] = [carried("a", "1").raw, carried("a", "2").raw];
      await store.enqueue("q", [one, two, job("a").raw]);
      expect(await store.removeJobs("q", [two])).toBe(1);
      expect(await store.jobs("q", 0, -1)).toEqual([one, job("a").raw]);
    });

    test("are found in a long queue, and by the lock of a queued job", async () => {
      const key = `${context.prefix}lock:q`;
      const request = { key, seconds: 600, believedSeconds: 5, job: job("a") };
      const many = Array.from({ length: 2500 }, (_, n) => job("b", n).raw);
      expect(await store.takeQueueLock(request)).toBe(true);
      await store.enqueue("q", [...many, carried("a", "1").raw]);
      await advance(10_000);
      expect(await store.takeQueueLock(request)).toBe(false);
      expect(await store.removeJobs("q", [job("a").raw])).toBe(1);
      expect(await store.takeQueueLock(request)).toBe(true);
    });

    test("are delayed by their bare text, and go on with their context when they are due", async () => {
      const now = await store.now();
      const due = { atMs: now + 5000 };
      const second = Math.round(due.atMs / 1000);
      const first = carried("a", "1");
      expect(await store.delay(first, due)).toEqual({ state: "added" });
      for (const again of [job("a"), carried("a", "2")])
        expect((await store.delay(again, due)).state).toBe("duplicate");
      expect(await store.delayedJobs(second)).toEqual([job("a").raw]);
      expect(await store.scheduledAt(job("a").raw)).toEqual([second]);
      await advance(6000);
      await store.promote(10);
      expect(await store.jobs("q", 0, -1)).toEqual([first.raw]);
      expect(await store.removeJobs("q", [job("a").raw])).toBe(1);
    });

    test("leave nothing of their context when they are removed before they are due", async () => {
      const due = { atMs: (await store.now()) + 5000 };
      await store.delay(carried("a", "1"), due);
      expect(await store.removeDelayed(job("a").raw)).toHaveLength(1);
      await store.delay(job("a"), due);
      await advance(6000);
      await store.promote(10);
      expect(await store.jobs("q", 0, -1)).toEqual([job("a").raw]);
    });

    test("hold their unique lock while they are delayed and queued", async () => {
      const unique = { key: "k", class: "a" };
      const due = { inMs: 5000 };
      const add = (id: string) =>
        store.enqueue("q", [carried("a", id).raw], { unique });
      await store.delay(carried("a", "1"), due, { unique });
      expect((await add("2")).state).toBe("held");
      await advance(6000);
      await store.promote(10);
      expect((await add("3")).state).toBe("held");
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      const { raw } = (await actor.next(worker))!;
      expect(raw).toBe(carried("a", "1").raw);
      expect((await add("4")).state).toBe("held");
      await actor.next(worker, {
        kind: "success",
        effects: [{ do: "unlockUnique", key: "k", raw }],
      });
      expect((await add("5")).state).toBe("added");
    });

    test("that failed and are tried again keep their context while they wait", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      const { queue, raw } = carried("a", "1");
      await store.enqueue("q", [raw]);
      await actor.next(worker);
      const delay: Effect = { do: "delay", queue, raw, due: { inMs: 2000 } };
      await actor.next(worker, { kind: "retried", effects: [delay] });
      expect(await store.scheduledAt(job("a").raw)).toHaveLength(1);
      await advance(3000);
      await store.promote(10);
      expect(await actor.next(worker)).toEqual({ queue, raw });
    });
  });

  describe("the scheduler", () => {
    test("one leads, until it resigns or is silent", async () => {
      expect(await store.lead("a", 30_000)).toBe(0);
      expect(await store.lead("b", 30_000)).toBeGreaterThan(0);
      expect(await store.leader()).toBe("a");
      await store.resign("b");
      expect(await store.leader()).toBe("a");
      await store.resign("a");
      expect(await store.leader()).toBeNull();
      await store.lead("b", 30_000);
      await advance(20_000);
      await store.lead("b", 30_000);
      await advance(20_000);
      expect(await store.lead("a", 30_000)).toBeGreaterThan(0);
      await advance(10_001);
      expect(await store.lead("a", 30_000)).toBe(0);
    });
  });

  describe("the failed list", () => {
    test("an entry is removed, or goes to its queue", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      for (const entry of ['{"n":1}', '{"n":2}'])
        await actor.report(worker, { kind: "failure", entry });
      expect(await store.removeFailed('{"n":1}')).toBe(1);
      expect(await store.removeFailed('{"n":1}')).toBe(0);
      expect(await store.retryFailed('{"n":1}', job("a"))).toBe("missing");
      expect(await store.retryFailed('{"n":2}', job("a"))).toBe("added");
      expect(await store.failed(0, -1)).toEqual([]);
      expect(await store.jobs("q", 0, -1)).toEqual([job("a").raw]);
    });

    test("it keeps as many entries of a class as wanted", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await actor.report(worker, { kind: "failure", entry: '{"other":1}' });
      for (let n = 0; n < 4; n++)
        await actor.report(worker, {
          kind: "failure",
          entry: `{"n":${n}}`,
          effects: [{ do: "boundFailed", class: "a", most: 2 }],
        });
      expect(await store.failed(0, -1)).toEqual([
        '{"other":1}',
        '{"n":2}',
        '{"n":3}',
      ]);
    });
  });

  describe("effects", () => {
    test("a job that is delayed again beside the same one is not lost", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      const atMs = (await store.now()) + 1000;
      const effect: Effect = { do: "delay", ...job("a"), due: { atMs } };
      await actor.report(worker, {
        kind: "uncounted",
        effects: [effect, effect],
      });
      expect((await store.promote(500)).moved).toEqual([]);
      await advance(1000);
      expect((await store.promote(500)).moved).toHaveLength(2);
      expect(await store.jobs("q", 0, -1)).toEqual([
        job("a").raw,
        job("a").raw,
      ]);
    });

    test("they take effect without a report, too", async () => {
      const worker = workerIdentity("p:1", "*");
      const key = `${context.prefix}lock:a`;
      const lock = (await store.takeLock({ key, seconds: 9, owned: true }))!;
      await store.apply(worker, [{ do: "releaseLock", ...lock }]);
      expect(await store.locks()).toEqual({});
    });

    test("the attempts of the Retry plugin are counted", async () => {
      expect(await store.countRetry("resque-retry:a")).toBe(0);
      expect(await store.countRetry("resque-retry:a")).toBe(1);
      await store.apply(workerIdentity("p:1", "*"), [
        { do: "keepRetry", key: "resque-retry:a", failure: "{}", seconds: 10 },
      ]);
      await advance(10_001);
      expect(await store.countRetry("resque-retry:a")).toBe(0);
      await store.forgetRetry("resque-retry:a");
      expect(await store.countRetry("resque-retry:a")).toBe(0);
    });
  });

  describe("tools", () => {
    test("jobs are removed from either end", async () => {
      await store.enqueue("q", ["a", "b", "a", "c", "a"]);
      expect(await store.removeJobs("q", ["a"], -1)).toBe(1);
      expect(await store.jobs("q", 0, -1)).toEqual(["a", "b", "a", "c"]);
      expect(await store.removeJobs("q", ["a"], 1)).toBe(1);
      expect(await store.jobs("q", 0, -1)).toEqual(["b", "a", "c"]);
      expect(await store.removeJobs("q", ["a", "c"])).toBe(2);
      expect(await store.jobs("q", 0, -1)).toEqual(["b"]);
    });

    test("a worker is removed with its job, which goes to the failed list", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", ["a"]);
      await actor.next(worker);
      const [seen] = await store.records([worker.member]);
      await store.removeWorker(seen, worker.name, '{"killed":1}');
      expect(await store.workers()).toEqual([]);
      expect(await store.failed(0, -1)).toEqual(['{"killed":1}']);
      expect(await store.jobs("q", 0, -1)).toEqual([]);
      expect(await store.stats()).toEqual({ failed: "1" });
    });

    test("a worker that was removed by hand is told so, and can register again", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      await store.enqueue("q", ["a", "b"]);
      await actor.next(worker);
      const [seen] = await store.records([worker.member]);
      await store.removeWorker(seen, worker.name, '{"killed":1}');
      const slots = [{ worker, outcome: SUCCESS, want: true }];
      const reply = { jobs: [undefined], unlisted: [0], problems: [] };
      expect(await actor.exchange(slots)).toEqual(reply);
      expect(await actor.exchange(slots, actor.number)).toEqual(reply);
      expect(await store.stats()).toEqual({ failed: "1" });
      await actor.worker();
      expect(await actor.next(worker)).toMatchObject({ raw: "b" });
    });

    test("a worker that has taken its next job meanwhile is not removed", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      const [idle] = await store.records([worker.member]);
      await store.enqueue("q", [job("a").raw, job("b").raw]);
      await actor.next(worker);
      const [seen] = await store.records([worker.member]);
      await actor.next(worker, SUCCESS);
      for (const before of [idle, seen])
        expect(await store.removeWorker(before, worker.name, "{}")).toBe(false);
      expect(await store.failed(0, -1)).toEqual([]);
      expect(await actor.next(worker)).toEqual(job("b"));
    });

    test("stopped tasks are remembered", async () => {
      await store.markStopped("t", true);
      expect(await store.isStopped("t")).toBe(true);
      await store.markStopped("t", false);
      expect(await store.isStopped("t")).toBe(false);
    });

    test("more jobs than one call takes are all added", async () => {
      const raws = Array.from({ length: 2500 }, (_, n) => String(n));
      await store.enqueue("q", raws);
      expect(await store.jobs("q", 0, -1)).toEqual(raws);
    });
  });

  describe("jobs without a definition", () => {
    test("the store tells for how long, until that is too long", async () => {
      expect(await store.waitUnknown(job("a"), 60_000)).toBe(0);
      await advance(40_000);
      const ms = await store.waitUnknown(job("a"), 60_000);
      expect(ms).toBeGreaterThanOrEqual(40_000);
      expect(await store.waitUnknown(job("b"), 60_000)).toBe(0);
      await advance(20_000);
      expect(await store.waitUnknown(job("a"), 60_000)).toBeUndefined();
      expect(await store.waitUnknown(job("a"), 60_000)).toBe(0);
    });

    test("one that was not seen for a while counts anew", async () => {
      expect(await store.waitUnknown(job("a"), 600_000)).toBe(0);
      await advance(121_000);
      expect(await store.waitUnknown(job("a"), 600_000)).toBe(0);
    });
  });

  describe("periodic tasks", () => {
    const next = (inMs: number) => ({ ...job("tick"), due: { inMs } });
    const asker = (by: string) => ({ by, liveMs: 60_000, keepMs: 3_600_000 });

    test("a plan is declared with its next run, and both are replaced in one step", async () => {
      const declare = { by: "a", plan: '{"every":1}' };
      await store.plan({
        task: "tick",
        declare,
        remove: [],
        next: next(10_000),
      });
      const plans = await store.plans(undefined, asker("a"));
      expect(plans).toEqual({
        tick: { ...declare, isLive: true, sinceMs: expect.any(Number) },
      });
      const { sinceMs } = plans.tick;
      expect(Math.abs((await store.now()) - sinceMs)).toBeLessThan(30_000);

      await store.enqueue("q", [job("tick").raw]);
      await store.enqueue("q", [job("tick", null).raw]);
      const other = { queue: "r", raw: jobText("r", "tick") };
      const replacing = { by: "b", plan: '{"every":2}' };
      const removed = await store.plan({
        task: "tick",
        declare: replacing,
        remove: [job("tick"), job("tick", null)],
        next: { ...other, due: { inMs: 5000 } },
      });
      expect(removed).toBe(3);
      expect(await store.jobs("q", 0, -1)).toEqual([]);
      expect(await store.scheduledAt(job("tick").raw)).toEqual([]);
      expect(await store.scheduledAt(other.raw)).toHaveLength(1);
      expect((await store.plans()).tick).toMatchObject({
        ...replacing,
        isLive: false,
      });
      await advance(5000);
      expect((await store.promote(10)).moved).toHaveLength(1);
    });

    test("a task has one next run, however often it is planned", async () => {
      for (const inMs of [1000, 8000, 3000])
        await store.plan({ task: "tick", remove: [], next: next(inMs) });
      expect(await store.scheduledAt(job("tick").raw)).toHaveLength(1);
      // nobody declared it
      expect(await store.plans()).toEqual({});
    });

    test("planning says when it was, and leaves the declaration", async () => {
      const declare = { by: "a", plan: "{}" };
      await store.plan({ task: "tick", declare, remove: [] });
      expect((await store.plans()).tick).toMatchObject({ sinceMs: 0 });
      await store.plan({ task: "tick", remove: [], next: next(1) });
      const first = (await store.plans()).tick;
      expect(first).toMatchObject(declare);
      await advance(7000);
      await store.plan({ task: "tick", remove: [], next: next(1) });
      const { sinceMs } = (await store.plans()).tick;
      expect(sinceMs - first.sinceMs).toBeGreaterThanOrEqual(7000);
    });

    test("who declared it is alive while it asks", async () => {
      await store.plan({
        task: "tick",
        declare: { by: "a", plan: "{}" },
        remove: [],
      });
      expect((await store.plans()).tick.isLive).toBe(false);
      await store.plans(undefined, asker("a"));
      await advance(59_000);
      expect((await store.plans()).tick.isLive).toBe(true);
      await advance(1001);
      expect((await store.plans()).tick.isLive).toBe(false);
    });

    test("plans of a node are its own", async () => {
      const declare = { by: "n", plan: '{"of":"n"}' };
      await store.plan({ task: "tick", node: "n", declare, remove: [] });
      expect(await store.plans()).toEqual({});
      expect(await store.plans("m")).toEqual({});
      expect((await store.plans("n", asker("n"))).tick).toMatchObject(declare);
    });

    test("runs are missing unless they are delayed, queued, waiting or running", async () => {
      const names = ["delayed", "queued", "foreign", "running", "waiting"];
      const run = (task: string, queue = "q"): AwaitedRun => ({
        task,
        queue,
        raws: [jobText(queue, task, {}), jobText(queue, task)],
        onlyInQueue: queue !== "q",
      });
      const runs = [...names, "stopped", "no"].map((name) => run(name));
      expect(await store.missingRuns([])).toEqual([]);
      expect(await store.missingRuns(runs)).toHaveLength(runs.length);

      await store.markStopped("stopped", true);
      await store.delay(job("delayed"), { inMs: 60_000 });
      const actor = await Actor.start(store, "p", ["q"]);
      const [first, second] = [
        await actor.worker("p:1"),
        await actor.worker("p:2"),
      ];
      const waiting = job("waiting");
      await store.enqueue("q", [waiting.raw, job("running").raw]);
      await actor.next(first);
      const slot = { process: "p", class: "waiting", limit: 0 };
      await store.acquireSlot({ ...slot, worker: first, job: waiting });
      await actor.next(second);
      // by programs that write their JSON in another way
      await store.enqueue("q", ['{"queue":"q","class":"foreign"}', "no JSON"]);
      await store.enqueue("q", [job("queued").raw]);
      expect(await store.missingRuns(runs)).toEqual(["no"]);
      // a run on another node is not one of this node
      const own = names.map((name) => run(name, "own"));
      expect(await store.missingRuns(own)).toEqual(names);
    });

    test("a run is assumed to be in a long queue", async () => {
      const run = { task: "no", queue: "q", raws: [], onlyInQueue: false };
      const others = Array.from({ length: 999 }, (_, n) => job("a", n).raw);
      await store.enqueue("q", others);
      expect(await store.missingRuns([run])).toEqual(["no"]);
      await store.enqueue("q", ["one more"]);
      expect(await store.missingRuns([run])).toEqual([]);
    });

    test("a task that is planned counts as stopped no more", async () => {
      await store.markStopped("tick", true);
      await store.plan({ task: "tick", remove: [job("tick")] });
      expect(await store.isStopped("tick")).toBe(true);
      await store.plan({ task: "tick", remove: [], next: next(1) });
      expect(await store.isStopped("tick")).toBe(false);
    });

    describe("at the end of a run", () => {
      const planRun = (change: Partial<NextRun> = {}): Effect => ({
        do: "planRun",
        task: "tick",
        remove: [job("tick"), job("tick", null)],
        next: next(10_000),
        unlessStopped: true,
        ...change,
      });
      const planned = async () =>
        (await store.scheduledAt(job("tick").raw)).length;

      async function endRun(...effects: Effect[]): Promise<void> {
        const actor = await Actor.start(store, "p");
        const worker = await actor.worker();
        await store.enqueue("q", [job("tick").raw]);
        expect(await actor.next(worker)).toEqual(job("tick"));
        await actor.report(worker, { kind: "success", effects });
        expect(await store.stats()).toMatchObject({ processed: "1" });
      }

      test("the next one is planned with its report, instead of all that wait", async () => {
        const declare = { by: "a", plan: "{}" };
        await store.plan({ task: "tick", declare, remove: [], next: next(9) });
        const { sinceMs } = (await store.plans()).tick;
        await advance(5000);
        await store.enqueue("q", [job("tick").raw, job("tick", null).raw]);
        const actor = await Actor.start(store, "p");
        const worker = await actor.worker();
        await actor.next(worker);
        const effects = [planRun({ plan: "{}" })];
        await actor.report(worker, { kind: "success", effects });
        expect(await store.jobs("q", 0, -1)).toEqual([]);
        expect(await planned()).toBe(1);
        const after = (await store.plans()).tick;
        expect(after).toMatchObject(declare);
        expect(after.sinceMs - sinceMs).toBeGreaterThanOrEqual(5000);
        await advance(5000);
        expect((await store.promote(10)).moved).toEqual([]);
        await advance(5001);
        expect((await store.promote(10)).moved).toHaveLength(1);
      });

      test("nothing is planned when the task was stopped meanwhile", async () => {
        await store.markStopped("tick", true);
        await endRun(planRun());
        expect(await planned()).toBe(0);
        expect(await store.isStopped("tick")).toBe(true);
      });

      test("a stopped task is planned when it begins anew", async () => {
        await store.markStopped("tick", true);
        await endRun(planRun({ unlessStopped: false }));
        expect(await planned()).toBe(1);
        expect(await store.isStopped("tick")).toBe(false);
      });

      test("nothing is planned when another plan was declared meanwhile", async () => {
        const declare = { by: "a", plan: '{"every":2}' };
        await store.plan({ task: "tick", declare, remove: [] });
        await endRun(planRun({ plan: '{"every":1}' }));
        expect(await planned()).toBe(0);
      });

      test("plans of a node are those of its own runs", async () => {
        const declare = { by: "n", plan: "{}" };
        await store.plan({ task: "tick", node: "n", declare, remove: [] });
        await endRun(planRun({ node: "n", plan: "{}" }));
        expect(await planned()).toBe(1);
        expect((await store.plans("n")).tick.sinceMs).toBeGreaterThan(0);
        expect(await store.plans()).toEqual({});
      });

      test("it may be the last one", async () => {
        await endRun({ do: "stopTask", task: "tick" });
        expect(await planned()).toBe(0);
        expect(await store.isStopped("tick")).toBe(true);
      });

      test("what a worker plans that lost its job is left out", async () => {
        const actor = await Actor.start(store, "p");
        const workers = [await actor.worker("p:1"), await actor.worker("p:2")];
        await store.enqueue("q", [job("tick").raw, job("other").raw]);
        const [first, second] = workers;
        await actor.next(first);
        await actor.next(second);
        await store.leave("p", first);
        const lost = { kind: "success", effects: [planRun()] } as const;
        const fields = { state: "done" } as const;
        const kept: Effect[] = [
          { do: "stopTask", task: "other" },
          { do: "updateJob", id: "1", fields },
        ];
        await actor.exchange([
          { worker: first, outcome: lost, want: false },
          {
            worker: second,
            outcome: { kind: "success", effects: kept },
            want: false,
          },
        ]);
        expect(await planned()).toBe(0);
        expect(await store.jobs("q", 0, -1)).toEqual([job("tick").raw]);
        expect(await store.isStopped("other")).toBe(true);
      });
    });
  });

  describe("waiting", () => {
    test("a job ends the wait for its queue", async () => {
      for (const queues of [["q"], ["*"], ["other", "*"]]) {
        const actor = await Actor.start(store, `p ${queues.join()}`, queues);
        const worker = await actor.worker();
        const mark = store.mark();
        expect(await actor.next(worker)).toBeUndefined();
        const waiting = store.wait({ queues }, 10_000, mark);
        await store.enqueue("q", ["a"]);
        expect(await waiting.done).toBe(true);
        await actor.next(worker);
        await actor.report(worker, SUCCESS);
      }
    });

    test("a job that came between the fetch and the wait is not missed", async () => {
      const actor = await Actor.start(store, "p");
      const worker = await actor.worker();
      const mark = store.mark();
      await actor.next(worker);
      await store.enqueue("q", ["a"]);
      expect(await store.wait({ queues: ["*"] }, 10_000, mark).done).toBe(true);
    });

    test("a wait times out, or is stopped", async () => {
      const target = { queues: ["quiet"] };
      expect(await store.wait(target, 10, store.mark()).done).toBe(false);
      const waiting = store.wait(target, 10_000, store.mark());
      waiting.stop();
      expect(await waiting.done).toBe(false);
    });
  });
});
