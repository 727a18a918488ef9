/** Simulated processes that work, enqueue and schedule, and what happens to them: a seed decides all of it. */
import { encode, uniqueKey } from "../../../src/resque/jobText";
import type { JobView } from "../../../src/resque/jobView";
import type { MultiWorker } from "../../../src/resque/multiWorker";
import { Scheduler } from "../../../src/resque/scheduler";
import type {
  Due,
  EnqueueOptions,
  QueueStore,
} from "../../../src/resque/store/store";
import type { Jobs } from "../../../src/resque/types";
import type { Backend, OpenBackend } from "./backend";
import { SimHeartbeat, SimMultiWorker } from "./heartbeat";
import { LEASE_MS, Ledger, NARROW, Violation } from "./ledger";
import { memoryBackend } from "./memoryBackend";
import { Network } from "./network";
import { PeriodicTasks, WATCH_MS } from "./periodic";
import { Random } from "./random";
import { SimProcess, World } from "./world";

/** How long things go wrong, and how long they are given to come right again, in ms. */
const CHAOS_MS = 1_500;
const DRAIN_MS = 12_000;
const PATIENCE_MS = 150;
/** Which share of the histories is special. */
export interface Shares {
  /** Those with recurring tasks. */
  periodic: number;
  /** Those in which event loops are blocked, and nothing else is wrong. */
  blocked: number;
}

const SHARES: Shares = { periodic: 0.05, blocked: 0.03 };

const KINDS = ["plain", "failing", "shaky", "locked", "narrow", "unique"];
export const QUEUES = ["high", "low"];

interface Node {
  process: SimProcess;
  store: QueueStore;
  multiWorker: SimMultiWorker;
  scheduler: Scheduler;
}

interface Parts {
  world: World;
  network: Network;
  ledger: Ledger;
  backend: Backend;
}

export interface Result {
  seed: number;
  steps: number;
  violation?: string;
  history: string[];
}

export async function simulate(
  seed: number,
  openBackend: OpenBackend = memoryBackend(),
  shares: Partial<Shares> = {},
): Promise<Result> {
  const world = new World(new Random(seed));
  const network = new Network(world);
  const ledger = new Ledger(world);
  const backend = await openBackend(world, network, ledger);
  ledger.state = backend.state;
  let violation: string | undefined;
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0; // errors are many here, and nobody reads where they come from
  try {
    const parts = { world, network, ledger, backend };
    await new Simulation(parts, { ...SHARES, ...shares }).run();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = error.message;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
  return { seed, steps: world.steps, violation, history: world.history };
}

class Simulation {
  private readonly random: Random;
  private readonly nodes: Node[] = [];
  private readonly workers = new WeakMap<SimProcess, MultiWorker>();
  private readonly periodic?: PeriodicTasks;
  /** Nothing goes wrong but that event loops are blocked. */
  private readonly isBlockedOnly: boolean;
  private started = 0;
  private numbers = 0;

  private readonly world: World;
  private readonly network: Network;
  private readonly ledger: Ledger;
  private readonly backend: Backend;

  constructor(parts: Parts, shares: Shares) {
    const { world, network, ledger, backend } = parts;
    this.world = world;
    this.network = network;
    this.ledger = ledger;
    this.backend = backend;
    this.random = world.random;
    if (this.random.chance(shares.periodic))
      this.periodic = new PeriodicTasks(world, ledger);
    this.isBlockedOnly = this.random.chance(shares.blocked);
  }

  async run(): Promise<void> {
    const { world } = this;
    this.planChaos();
    await this.advance(CHAOS_MS);
    world.note("everything heals");
    this.network.heal();
    this.periodic?.forget();
    for (const node of this.nodes) node.process.thaw();
    while (this.nodes.length < 2) this.startNode();
    await this.advance(DRAIN_MS, () => this.isDrained());
    if (!this.isDrained())
      this.ledger.fail(`never ended: ${this.ledger.unfinished().join(", ")}`);
    if (this.periodic) await this.watch(this.periodic);
  }

  /** Periodic tasks still run, and at their times. */
  private async watch(periodic: PeriodicTasks): Promise<void> {
    const resting = () =>
      periodic.resting(this.nodes.map(({ process }) => process));
    await this.advance(DRAIN_MS, () => resting().length === 0);
    if (resting().length > 0)
      this.ledger.fail(`never ran again: ${resting().join(", ")}`);
    periodic.forget();
    await this.advance(WATCH_MS);
    periodic.check();
  }

  private async advance(ms: number, until?: () => boolean): Promise<void> {
    const { world, ledger } = this;
    await world.run(world.now + ms, () => ledger.check(), until);
  }

  private isDrained(): boolean {
    return this.ledger.unfinished().length === 0;
  }

  // ----------------------------------------------------------------- chaos

  private planChaos(): void {
    const { world, random } = this;
    if (!this.isBlockedOnly && random.chance(0.7))
      this.network.faults = {
        lostRequests: random.pick([0, 0.02, 0.1]),
        lostReplies: random.pick([0, 0.02, 0.1]),
        repeated: random.pick([0, 0.05, 0.2]),
        late: random.pick([0, 0.05, 0.2]),
        lateMs: random.pick([20, 150, 400]),
      };
    const nodes = random.between(1, 3);
    for (let i = 0; i < nodes; i++)
      world.schedule(random.between(0, 100), () => this.startNode());
    const bursts = random.between(2, 10);
    for (let i = 0; i < bursts; i++) {
      const size = random.pick([1, 1, 2, 10]);
      world.schedule(random.between(0, CHAOS_MS - 500), () => {
        for (let n = 0; n < size; n++) this.enqueue();
      });
    }
    const mishaps = random.between(0, 8);
    for (let i = 0; i < mishaps; i++)
      world.schedule(random.between(50, CHAOS_MS), () => this.mishap());
  }

  private mishap(): void | Promise<void> {
    const { random, network } = this;
    const node = random.pick(this.nodes);
    if (!node) return this.startNode();
    const { process, multiWorker } = node;
    const ms = random.pick([50, 200, 600, 1500]);
    if (this.isBlockedOnly) return multiWorker.heartbeat && process.block(ms);
    const mishaps: (() => void | Promise<void>)[] = [
      () => this.crash(node),
      () => process.freeze(ms),
      () => process.block(ms),
      () => this.freezeAtFetch(process, ms),
      () => this.stall(process),
      () => this.stall(process),
      () => network.cut(process, ms),
      () => network.outage(ms),
      () => this.stop(node),
      () => this.stop(node),
      () => this.startNode(),
      () =>
        process.setClock(random.pick([-86_400_000, -5_000, 5_000, 86_400_000])),
      () => this.scale(multiWorker, process),
      () => this.scale(multiWorker, process),
      () => this.pauseQueue(ms),
      () => this.loseData(),
    ];
    return random.pick(mishaps)();
  }

  /** The process stands still while its next jobs are on their way to it. */
  private freezeAtFetch(process: SimProcess, ms: number): void {
    this.ledger.onFetch = (pid) => {
      if (pid !== process.pid) return;
      process.freeze(ms);
      this.ledger.onFetch = () => undefined;
    };
  }

  /** The event loop is busy again and again, so that the number of workers goes down. */
  private stall(process: SimProcess): void {
    this.world.note(`${process.name} stalls`);
    for (let n = 0; n < 10; n++)
      this.world.schedule(50 * n, () => process.freeze(30, false));
  }

  private crash(node: Node): void {
    node.process.crash();
    this.forget(node);
    this.world.schedule(this.random.between(10, 500), () => this.startNode());
  }

  private stop(node: Node): void {
    const { process, multiWorker, scheduler } = node;
    if (process.isFrozen) return;
    this.world.note(`${process.name} is told to stop`);
    this.forget(node);
    this.ledger.stopping.add(process);
    void Promise.all([scheduler.end(), multiWorker.stop()]).then(() => {
      process.exit();
    });
    this.world.schedule(this.random.between(10, 500), () => this.startNode());
  }

  private scale(multiWorker: MultiWorker, process: SimProcess): void {
    const count = this.random.between(1, 4);
    this.world.note(`${process.name} is to have ${count} workers`);
    multiWorker.options.minTaskProcessors = 1;
    multiWorker.options.maxTaskProcessors = count;
  }

  private async pauseQueue(ms: number): Promise<void> {
    const queue = this.random.pick(QUEUES);
    this.world.note(`${queue} is paused for ${ms} ms`);
    const { store } = this.backend;
    await store.pause(queue);
    this.world.schedule(ms, () => store.resume(queue));
  }

  /** Periodic tasks and registrations come back; what was enqueued is gone. */
  private async loseData(): Promise<void> {
    if (!this.random.chance(0.3)) return;
    this.world.note("the store loses its data");
    await this.backend.flush();
    this.ledger.forget();
  }

  private forget(node: Node): void {
    this.nodes.splice(this.nodes.indexOf(node), 1);
  }

  // ----------------------------------------------------------------- nodes

  private startNode(): void {
    if (this.nodes.length >= 3) return;
    const { world, random } = this;
    const number = ++this.started;
    const process = new SimProcess(world, `p${number}`, number);
    process.skewMs = random.pick([0, 0, 0, 5_000, -3_600_000]);
    world.note(`${process.name} starts`);
    const store = this.backend.connect(process);
    const connection = { store };
    const { environment } = process;
    const jobs = this.jobsOf(process);
    const defined = this.periodic?.define(process, (kind, view, uid) =>
      this.work(process, kind, view, uid, random.between(5, 40)),
    );
    Object.assign(jobs, defined?.jobs);
    const queues = random.pick([["high", "low"], ["*"], ["low", "*"]]);
    const multiWorker = new SimMultiWorker(
      {
        connection,
        environment,
        node: process.name,
        queues: this.periodic?.queuesOf(process, queues) ?? queues,
        minTaskProcessors: random.between(1, 3),
        maxTaskProcessors: 4,
        checkTimeout: 100,
        maxEventLoopDelay: 10,
        timeout: 200,
        heartbeatTimeout: LEASE_MS,
        shutdownTimeout: PATIENCE_MS,
      },
      jobs,
    );
    this.workers.set(process, multiWorker);
    const { network, backend, ledger } = this;
    multiWorker.makeHeartbeat = () =>
      new SimHeartbeat(process, network, backend);
    if (this.isBlockedOnly)
      multiWorker.on("reaped", (id) =>
        ledger.fail(`${String(id)} lost its lease while it was blocked`),
      );
    const scheduler = new Scheduler(
      {
        connection,
        environment,
        name: process.name,
        timeout: 400,
        leaderLockTimeout: 1,
        stuckWorkerTimeout: 0,
      },
      jobs,
    );
    const node = { process, store, multiWorker, scheduler };
    for (const part of [multiWorker, scheduler])
      part.on("error", (error) =>
        world.note(`${process.name} reports ${String(error)}`),
      );
    this.nodes.push(node);
    const startPeriodic = async () => {
      const tasks = defined?.tasks ?? {};
      const parts = { store, multiWorker, jobs, tasks };
      await this.periodic?.start(process, parts);
    };
    world.schedule(0, () => void this.startParts(node, startPeriodic), process);
  }

  /** A process that cannot start is started again. */
  private async startParts(
    node: Node,
    startPeriodic: () => Promise<void>,
  ): Promise<void> {
    const { stopping } = this.ledger;
    stopping.add(node.process); // a start that fails is a stop
    try {
      await node.scheduler.connect();
      await node.scheduler.start();
      await node.multiWorker.start();
      await startPeriodic();
      if (this.nodes.includes(node)) stopping.delete(node.process);
    } catch {
      if (node.process.isDead || !this.nodes.includes(node)) return;
      this.world.note(`${node.process.name} did not start`);
      this.forget(node);
      node.process.exit();
      this.startNode();
    }
  }

  /** The body of every job. */
  private async work(
    process: SimProcess,
    kind: string,
    view: JobView,
    uid: string,
    ms: number,
  ): Promise<void> {
    const registration = () => this.workers.get(process)?.["process"]?.id;
    const key = uid.slice(0, 3);
    const run = { process, view, uid, kind, key, registration };
    this.ledger.begin(run);
    await new Promise<void>((resolve) => {
      process.environment.after(ms, resolve);
    });
    this.ledger.end(run);
  }

  private jobsOf(process: SimProcess): Jobs {
    const work = (kind: string, view: JobView, uid: string, ms: number) =>
      this.work(process, kind, view, uid, ms);
    const body = (kind: string) =>
      function (this: JobView, uid: string, ms: number) {
        return work(kind, this, uid, ms);
      };
    return {
      plain: body("plain"),
      async failing(uid: string, ms: number) {
        await work("failing", this, uid, ms);
        throw new Error("failed");
      },
      shaky: {
        retry: { attempts: 3, backoff: [30] },
        async perform(uid: string, ms: number) {
          await work("shaky", this, uid, ms);
          if ((this.job.attempt ?? 1) < 3) throw new Error("not yet");
        },
      },
      locked: {
        plugins: ["JobLock"],
        pluginOptions: { JobLock: { key: "only one", enqueueTimeout: 60 } },
        perform: body("locked"),
      },
      narrow: { concurrency: NARROW, perform: body("narrow") },
      unique: { unique: true, perform: body("unique") },
    };
  }

  // ------------------------------------------------------------- producers

  /** Producers sit beside the network, and see what it does to their calls. */
  private enqueue(): void {
    const { random, ledger } = this;
    const node = random.pick(this.nodes);
    if (!node) return;
    const kind = random.pick(KINDS);
    const queue = random.pick(QUEUES);
    const ms = random.pick([1, 5, 10, 40, 400]);
    const isUnique = kind === "unique";
    const uid = isUnique ? `#u${random.between(1, 2)}#` : `#${++this.numbers}#`;
    const raw = encode(isUnique ? "high" : queue, kind, [
      uid,
      isUnique ? 20 : ms,
    ]);
    const job = { queue: isUnique ? "high" : queue, raw };
    const options: EnqueueOptions = isUnique
      ? {
          unique: {
            key: uniqueKey(job.queue, raw),
            class: kind,
          },
        }
      : {};
    const { store } = node;
    const due: Due = random.chance(0.5)
      ? { inMs: random.between(0, 600) }
      : { atMs: this.world.now + random.between(-100, 600) };
    const isNow = random.chance(0.6);
    const dueMs = "atMs" in due ? due.atMs : this.world.now + due.inMs;
    ledger.enqueues(uid, isNow ? undefined : dueMs);
    const call = isNow
      ? store.enqueue(job.queue, [raw], options)
      : store.delay(job, due, options);
    call.then(
      ({ state }) => {
        if (state !== "added") return;
        this.world.note(`${uid} ${kind} was added to ${job.queue}`);
        ledger.acknowledge(uid);
      },
      () => ledger.refuse(uid),
    );
  }
}
