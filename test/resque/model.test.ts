/** Random histories of producers, workers that crash and schedulers: no job is lost, and locks hold. */
import * as fc from "fast-check";
import type { Redis } from "ioredis";
import { Queue } from "../../src/resque/queue";
import { Scheduler } from "../../src/resque/scheduler";
import type { Jobs } from "../../src/resque/types";
import { Worker } from "../../src/resque/worker";
import { describeOnEachEngine, type Engine } from "../support/engines";
import { until } from "./support";

const KINDS = [
  "plain",
  "failing",
  "locked",
  "narrow",
  "shaky",
  "unique",
] as const;
type Kind = (typeof KINDS)[number];

type Step =
  | { do: "enqueue" | "delay" | "delete"; kind: Kind; key: number }
  | { do: "start" | "crash" | "end"; which: number }
  | { do: "schedule" | "pause" };

const kind = fc.constantFrom(...KINDS);
const key = fc.nat(2);
const which = fc.nat(3);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("enqueue" as const), kind, key }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("delay" as const), kind, key }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("delete" as const), kind, key }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("start" as const), which }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("crash" as const), which }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("end" as const), which }),
  },
  { weight: 1, arbitrary: fc.constant({ do: "schedule" as const }) },
  { weight: 3, arbitrary: fc.constant({ do: "pause" as const }) },
);

interface Actor {
  worker: Worker;
  redis: Redis;
  isDead: boolean;
  /** What it runs at this moment. */
  running: Set<string>;
}

/** One history: what was put in, what came out, and everything that ran at the same time under a lock. */
class World {
  readonly expected = new Map<string, number>();
  readonly done = new Map<string, number>();
  readonly problems: string[] = [];
  private readonly actors: Actor[] = [];
  private readonly deadIds: string[] = [];
  private scheduler?: Scheduler;
  private queue!: Queue;
  private serial = 0;
  private failures = 0;

  constructor(private readonly engine: Engine) {}

  async open(): Promise<void> {
    await this.engine.flush();
    this.queue = new Queue(
      { connection: { redis: this.engine.client() } },
      this.jobsOf(),
    );
    await this.queue.connect();
  }

  async apply(step: Step): Promise<void> {
    switch (step.do) {
      case "enqueue":
      case "delay":
        return this.add(step.kind, step.key, step.do === "delay");
      case "delete":
        return this.remove(step.kind, step.key);
      case "start":
        if (this.actors.length < 3) await this.start();
        return;
      case "crash":
        return this.crash(step.which);
      case "end":
        return this.end(step.which);
      case "schedule":
        return this.toggleScheduler();
      case "pause":
        return new Promise((resolve) => setTimeout(resolve, 3));
    }
  }

  /** Healthy workers and a scheduler run until nothing is left to do. */
  async drain(): Promise<void> {
    await this.reapTheDead();
    if (!this.scheduler) await this.toggleScheduler();
    await this.start();
    await this.start();
    await until(
      async () => (await this.unfinished()).length === 0,
      10_000,
    ).catch(async () => {
      throw new Error(`left: ${(await this.unfinished()).join(", ")}`);
    });
    while (this.actors.length > 0) await this.end(0);
    await this.scheduler?.end();
  }

  /** Lists of jobs that are not empty, and records of jobs that run. */
  private async unfinished(): Promise<string[]> {
    const { redis, store } = this.queue.connection;
    if (!this.engine.embedded)
      // one look, so that no job moves behind it
      return (await redis.keys("resque:*")).filter((name) =>
        /^resque:(queue:|delayed:|ah:parked:|worker:m:\d+:q$|timestamps|ah:(due|limit:|held|waiting))/.test(
          name,
        ),
      );
    const { queued, waiting } = (await store.lengths(["q"])).q;
    const records = await store.records(await store.workers());
    return [
      ...Array<string>(queued + waiting).fill("a job"),
      ...(await store.delayedSeconds()).map((second) => `delayed ${second}`),
      ...records.flatMap(({ record }) => record ?? []),
      ...Object.keys(await store.locks()),
    ];
  }

  async check(): Promise<void> {
    const failed = await this.queue.failed(0, -1);
    const outcomes = new Map(this.done);
    for (const { payload } of failed) {
      const text = nameOf(payload.class, payload.args);
      outcomes.set(text, (outcomes.get(text) ?? 0) + 1);
    }
    for (const [name, count] of this.expected)
      if ((outcomes.get(name) ?? 0) < count)
        this.problems.push(`${name}: ${count} in, ${outcomes.get(name)} out`);
    expect(this.problems).toEqual([]);
    expect(await this.queue.workers()).toEqual({});
  }

  private async add(kind: Kind, key: number, isDelayed: boolean) {
    // only locked and unique jobs share their arguments
    const isShared = kind === "locked" || kind === "unique";
    const args = [isShared ? key : 100 + this.serial++];
    const added = isDelayed
      ? await this.queue.enqueueIn(10 + key * 20, "q", kind, args, true)
      : await this.queue.enqueue("q", kind, args);
    if (!added) return;
    const name = nameOf(kind, args);
    // of those that may be one, one has to run
    const before = isShared ? 0 : (this.expected.get(name) ?? 0);
    this.expected.set(name, before + 1);
  }

  private async remove(kind: Kind, key: number) {
    const found = (await this.queue.queued("q", 0, -1)).filter(
      (job) => job.class === kind,
    );
    const job = found[key % Math.max(found.length, 1)];
    if (!job || job.args.length > 1) return;
    if ((await this.queue.del("q", kind, job.args)) === 0) return;
    this.expected.delete(nameOf(kind, job.args));
  }

  private async start(): Promise<void> {
    const redis = this.engine.embedded
      ? this.engine.client()
      : this.engine.client().duplicate();
    const actor = { redis, isDead: false, running: new Set<string>() } as Actor;
    actor.worker = new Worker(
      {
        connection: { redis },
        queues: ["q"],
        timeout: 20,
        name: `m:${this.serial++}`,
      },
      this.jobsOf(actor),
    );
    await actor.worker.connect();
    await actor.worker.start();
    this.actors.push(actor);
  }

  /** Its connection goes, its job stands still for ever; a lease later others notice. */
  private async crash(which: number): Promise<void> {
    if (this.engine.embedded) return;
    const [actor] = this.actors.splice(which, 1);
    if (!actor) return;
    actor.isDead = true;
    actor.running.clear();
    const { redis } = this.queue.connection;
    const owner = await redis.get(`resque:ah:owner:${actor.worker.name}:q`);
    if (owner) this.deadIds.push(owner);
    actor.redis.disconnect();
    // the process would be gone: nothing of it may stay in this one
    const { process } = actor.worker as any;
    process.isClosed = true;
    process.heart?.cancel();
    process.sweeper?.cancel();
    process.heartbeat?.stop();
    process.waiting?.stop();
    process.store.close();
    if (which % 2 === 0) await this.reapTheDead();
  }

  private async reapTheDead(): Promise<void> {
    const { connection } = this.queue;
    for (const id of this.deadIds.splice(0)) {
      await connection.redis.zadd("resque:ah:procs", 0, id);
      if (!(await connection.store.reap(id, 0)))
        this.problems.push("not reaped");
    }
  }

  private async end(which: number): Promise<void> {
    const [actor] = this.actors.splice(which, 1);
    if (!actor) return;
    await actor.worker.end();
    if (!this.engine.embedded) actor.redis.disconnect();
  }

  private async toggleScheduler(): Promise<void> {
    if (this.scheduler) {
      await this.scheduler.end();
      this.scheduler = undefined;
      return;
    }
    this.scheduler = new Scheduler({
      connection: { redis: this.engine.client() },
      timeout: 20,
    });
    await this.scheduler.connect();
    await this.scheduler.start();
  }

  private jobsOf(actor?: Actor): Jobs {
    const perform = async (kind: Kind, key: number) => {
      const name = nameOf(kind, [key]);
      const isAlone = kind === "locked" || kind === "unique";
      const others = this.actors.filter((other) => other !== actor);
      if (isAlone && others.some(({ running }) => running.has(name)))
        this.problems.push(`${name} twice at a time`);
      const narrow = others.filter(({ running }) =>
        [...running].some((one) => one.startsWith("narrow")),
      );
      if (kind === "narrow" && narrow.length > 0)
        this.problems.push("narrow twice at a time");
      actor!.running.add(name);
      await new Promise((resolve) => setTimeout(resolve, key % 3));
      if (actor!.isDead) await new Promise(() => undefined);
      actor!.running.delete(name);
      if (kind === "failing") throw new Error("failed");
      if (kind === "shaky" && this.failures++ % 2 === 0)
        throw new Error("shaky");
      this.done.set(name, (this.done.get(name) ?? 0) + 1);
    };
    const jobs: Jobs = {};
    for (const name of KINDS)
      jobs[name] = { perform: (key: number) => perform(name, key) };
    Object.assign(jobs.locked, {
      plugins: ["JobLock"],
      pluginOptions: { JobLock: { enqueueTimeout: 15 } },
    });
    Object.assign(jobs.narrow, { concurrency: 1 });
    Object.assign(jobs.shaky, { retry: { attempts: 2, backoff: [5] } });
    Object.assign(jobs.unique, { unique: true });
    return jobs;
  }
}

function nameOf(jobClass: string, args: unknown[]): string {
  return `${jobClass} ${String(args[0])}`;
}

describeOnEachEngine("random histories", (engine) => {
  test("every job ends done or failed; locks, concurrency and uniqueness hold; nothing is left behind", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 40 }),
        async (steps) => {
          const world = new World(engine);
          await world.open();
          for (const one of steps) await world.apply(one);
          await world.drain();
          await world.check();
        },
      ),
      {
        numRuns: Number(process.env.RESQUE_MODEL_RUNS ?? 25),
        endOnFailure: true,
        interruptAfterTimeLimit: 60_000,
      },
    );
  }, 90_000);
});
