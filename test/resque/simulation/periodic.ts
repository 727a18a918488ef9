/** Periodic tasks of simulated processes, run by the real `src/task`: what it reads from `api` is that of the process. */
import { api } from "../../../src/api";
import { config } from "../../../src/config/config";
import type { JobView } from "../../../src/resque/jobView";
import type { MultiWorker } from "../../../src/resque/multiWorker";
import { loggers } from "../../../src/log/log";
import { Queue } from "../../../src/resque/queue";
import type { QueueStore } from "../../../src/resque/store/store";
import type { Jobs } from "../../../src/resque/types";
import { wrapTask } from "../../../src/task/jobWrapper";
import { nodeQueue } from "../../../src/resque/store/texts";
import { announceNode, ownQueues } from "../../../src/task/scope";
import {
  startRecurrentTasks,
  enqueueLostRecurrentTasks,
} from "../../../src/task/recurrent";
import type { Task } from "../../../src/task/task";
import { periodicUid, type Ledger } from "./ledger";
import { simulatedNode } from "./nodeId";
import type { SimProcess, World } from "./world";

/** The wait between two runs of `every`, in ms. */
const FREQUENCY_MS = 100;
/** How often a process looks for periodic tasks that were lost, in ms. */
const UPKEEP_MS = 400;
/** A run begins so much after its time at most when nothing is wrong: a poll, and what calls take, in ms. */
const LATE_MS = 600;
/** How long runs are compared with their times once all goes well, in ms. */
export const WATCH_MS = 3_000;

/** What a process of the simulation has of `api`. */
interface Node {
  queue: Queue;
  multiWorker: MultiWorker;
  tasks: Record<string, Task>;
}

interface PeriodicRun {
  start: number;
  end?: number;
}

type Work = (kind: string, view: JobView, uid: string) => Promise<void>;

/** Where the tasks lie that one worker of the cluster runs. */
const QUEUE = "high";
const ONCE = ["every", "calendar"];

export class PeriodicTasks {
  private readonly nodes = new WeakMap<SimProcess, Node>();
  /** By what uniquely names the runs of a task. */
  private runs = new Map<string, PeriodicRun[]>();

  constructor(
    private readonly world: World,
    private readonly ledger: Ledger,
  ) {
    const current = () => this.nodes.get(world.current!)!;
    Object.assign(api, {
      tasks: {
        get tasks() {
          return current().tasks;
        },
        middleware: {},
        globalMiddleware: [],
      },
      resque: {
        get queue() {
          return current().queue;
        },
        get multiWorker() {
          return current().multiWorker;
        },
      },
    });
    simulatedNode.id = () => world.current?.name;
    config.tasks.scheduler = true;
    for (const logger of loggers) logger.silent = true;
  }

  /** The queues of the workers of a process: its own one is among them. */
  queuesOf({ name }: SimProcess, queues: readonly string[]): string[] {
    const own = nodeQueue(QUEUE, name);
    return queues.flatMap((queue) =>
      queue === QUEUE ? [own, queue] : [queue],
    );
  }

  /** The jobs of a process: they call `work`. */
  define(
    process: SimProcess,
    work: Work,
  ): { jobs: Jobs; tasks: Node["tasks"] } {
    const body = (name: string) => (_params: unknown, given: unknown) => {
      const view = given as JobView;
      const uid = periodicUid(name, view.queue);
      if (
        name === "everywhere" &&
        view.queue !== nodeQueue(QUEUE, process.name)
      )
        this.ledger.fail(`${process.name} runs ${uid}`);
      const run: PeriodicRun = { start: this.world.now };
      this.runsOf(uid).push(run);
      return work(name, view, uid).finally(() => {
        run.end = this.world.now;
      });
    };
    const tasks: Node["tasks"] = {
      every: task("every", { frequency: FREQUENCY_MS, run: body("every") }),
      calendar: task("calendar", {
        cron: "* * * * * *",
        run: body("calendar"),
      }),
      everywhere: task("everywhere", {
        scope: "all",
        frequency: FREQUENCY_MS,
        run: body("everywhere"),
      }),
    };
    const { current } = this.world;
    this.world.current = process; // a task that is loaded asks for the id of its node
    const jobs: Jobs = {};
    for (const [name, one] of Object.entries(tasks)) jobs[name] = wrapTask(one);
    this.world.current = current;
    return { jobs, tasks };
  }

  /** What a process does when its workers run. Called by the process itself. */
  async start(
    process: SimProcess,
    parts: {
      store: QueueStore;
      multiWorker: MultiWorker;
      jobs: Jobs;
      tasks: Node["tasks"];
    },
  ): Promise<void> {
    const { store, multiWorker, jobs, tasks } = parts;
    const queue = new Queue({ connection: { store } }, jobs);
    await queue.connect();
    this.nodes.set(process, { queue, multiWorker, tasks });
    await startRecurrentTasks();
    this.upkeep(process, new Set());
  }

  private upkeep(process: SimProcess, missed: ReadonlySet<string>): void {
    const work = async () => {
      await announceNode(ownQueues());
      return enqueueLostRecurrentTasks(missed);
    };
    process.environment.after(UPKEEP_MS, () => {
      work().then(
        (now) => this.upkeep(process, now),
        () => this.upkeep(process, missed),
      );
    });
  }

  // ----------------------------------------------------------------- checks

  forget(): void {
    this.runs.clear();
  }

  /** The tasks that did not run twice since `forget`. @param processes those that work */
  resting(processes: readonly SimProcess[]): string[] {
    const own = processes.map(({ name }) =>
      periodicUid("everywhere", nodeQueue(QUEUE, name)),
    );
    const uids = [...ONCE.map((name) => periodicUid(name, QUEUE)), ...own];
    return uids.filter((uid) => this.runsOf(uid).length < 2);
  }

  /** Compare the runs since `forget` with their times. */
  check(): void {
    for (const [uid, runs] of this.runs)
      if (uid !== "@calendar") this.checkWaits(uid, runs);
    for (const [before, run] of pairs(this.runsOf("@calendar"))) {
      const seconds = secondOf(run) - secondOf(before);
      if (seconds !== 1)
        this.ledger.fail(`@calendar ran again ${seconds} seconds later`);
      if (run.start % 1000 > LATE_MS)
        this.ledger.fail(`@calendar ran ${run.start % 1000} ms late`);
    }
  }

  private checkWaits(uid: string, runs: readonly PeriodicRun[]): void {
    for (const [before, run] of pairs(runs)) {
      const waited = run.start - before.end!;
      if (waited < FREQUENCY_MS || waited > FREQUENCY_MS + LATE_MS)
        this.ledger.fail(`${uid} ran again after ${waited} ms`);
    }
  }

  private runsOf(uid: string): PeriodicRun[] {
    let runs = this.runs.get(uid);
    if (!runs) this.runs.set(uid, (runs = []));
    return runs;
  }
}

function task(name: string, definition: Partial<Task>): Task {
  const defaults = { queue: QUEUE, frequency: 0, inputs: {}, middleware: [] };
  return {
    name,
    description: name,
    plugins: [],
    pluginOptions: {},
    ...defaults,
    ...definition,
  } as unknown as Task;
}

function secondOf({ start }: PeriodicRun): number {
  return Math.floor(start / 1000);
}

function pairs<Item>(list: readonly Item[]): [Item, Item][] {
  return list.slice(1).map((item, index) => [list[index], item]);
}
