/** The memory store behind the simulated network. */
import { toError } from "../../../src/errors";
import { MemoryStore } from "../../../src/resque/store/memoryStore";
import type {
  ExchangeCall,
  QueueStore,
  Waiting,
  WakeTarget,
} from "../../../src/resque/store/store";
import type { Backend, OpenBackend, StoreState, Witness } from "./backend";
import { TIMEOUT_MS, type Network } from "./network";
import type { SimProcess, World } from "./world";

/** Share of wake-ups that get lost: polls find the jobs. */
const LOST_WAKE_UPS = 0.2;

/** Operations that `redisStore` sends without an id: one that arrives twice is done twice. */
const REPEATABLE: ReadonlySet<string> = new Set([
  "acquireSlot",
  "noteUnique",
  "register",
  "releaseLock",
  "releaseUnique",
  "renew",
  "sweepQueues",
  "sweepSlots",
]);

type Operation = (...args: unknown[]) => unknown;
type Operations = Record<string, Operation>;

interface Waiter {
  process: SimProcess;
  wake: (isCalled: boolean) => void;
}

/** @param change changes the store, to plant a fault */
export function memoryBackend(
  change: (store: MemoryStore) => void = () => undefined,
): OpenBackend {
  return (world, network, witness) =>
    Promise.resolve(new MemoryBackend(world, network, witness, change));
}

class MemoryBackend implements Backend {
  readonly store: MemoryStore;
  readonly state: StoreState;
  private readonly waiters = new Set<Waiter>();

  constructor(
    private readonly world: World,
    private readonly network: Network,
    private readonly witness: Witness,
    change: (store: MemoryStore) => void,
  ) {
    this.store = new MemoryStore({
      clock: () => world.now,
      // a lease that ended is all that others know of a process
      isConnected: () => false,
    });
    this.state = new MemoryState(this.store);
    network.isLocal = true;
    change(this.store);
  }

  connect(process: SimProcess): QueueStore {
    const operations = this.store as unknown as Operations;
    const known = new Map<string | symbol, unknown>([
      ["kind", "redis"],
      ["mark", () => 0],
      ["close", () => undefined],
      [
        "wait",
        (_target: WakeTarget, ms: number): Waiting => this.wait(process, ms),
      ],
    ]);
    return new Proxy(this.store, {
      get: (_store, name) => {
        let operation = known.get(name);
        if (operation === undefined) {
          operation = (...args: unknown[]) =>
            this.call(process, String(name), args, () =>
              operations[String(name)](...args),
            );
          known.set(name, operation);
        }
        return operation;
      },
    });
  }

  heartbeat(process: string, ms: number): Promise<boolean> {
    const registered = this.store["data"].processes.get(process);
    if (registered) {
      registered.deadline = this.world.now + ms;
      registered.connection = "";
    }
    return Promise.resolve(registered !== undefined);
  }

  flush(): Promise<void> {
    this.store["data"] = this.store["data"].emptied();
    return Promise.resolve();
  }

  /** The rules that `redisStore` keeps: a call is refused after its deadline, and a repetition of one with an id changes nothing. */
  private call(
    process: SimProcess,
    name: string,
    args: unknown[],
    operation: () => unknown,
  ): Promise<unknown> {
    const { world, network } = this;
    // an exchange is numbered, so that one that comes late does no harm
    const deadline = name === "exchange" ? Infinity : world.now + TIMEOUT_MS;
    let answer: Promise<unknown> | undefined;
    return network.send(process, name, () => {
      if (world.now >= deadline) return undefined;
      if (!answer || REPEATABLE.has(name))
        answer = this.run(name, args, operation);
      return answer;
    });
  }

  private run(
    name: string,
    args: unknown[],
    operation: () => unknown,
  ): Promise<unknown> {
    const additions = this.store.mark();
    if (name === "exchange") this.witness.reported(args[0] as ExchangeCall);
    let answer: Promise<unknown>;
    try {
      answer = Promise.resolve(operation());
    } catch (error) {
      answer = Promise.reject(toError(error));
    }
    this.witness.changed();
    if (this.store.mark() !== additions) this.wakeAll();
    return answer;
  }

  private wait(process: SimProcess, ms: number): Waiting {
    let stop!: () => void;
    const done = new Promise<boolean>((resolve) => {
      const timer = process.environment.after(ms, () => waiter.wake(false));
      const waiter: Waiter = {
        process,
        wake: (isCalled) => {
          timer.cancel();
          this.waiters.delete(waiter);
          resolve(isCalled);
        },
      };
      this.waiters.add(waiter);
      stop = () => waiter.wake(false);
    });
    return { done, stop };
  }

  private wakeAll(): void {
    const { world, waiters, network } = this;
    for (const waiter of waiters) {
      const { process } = waiter;
      if (process.isDead) waiters.delete(waiter);
      else if (!world.random.chance(LOST_WAKE_UPS) && network.reaches(process))
        world.schedule(network.delay(), () => waiter.wake(true), process);
    }
  }
}

class MemoryState implements StoreState {
  constructor(private readonly store: MemoryStore) {}

  /** A job that moves changes two of these numbers. */
  get stamp(): string {
    const { lists, delayed, workers, slots, failed, failedCount } = this.data;
    let [queued, running, waiting] = [0, 0, 0];
    for (const list of lists.values()) queued += list.length;
    for (const { job } of workers.values()) if (job) running++;
    for (const slot of slots.values()) waiting += slot.waiting.length;
    return `${queued} ${delayed["count"]} ${running} ${waiting} ${failed.length} ${failedCount} ${this.processed}`;
  }

  get processed(): number {
    return this.data.processedCount;
  }

  get failed(): number {
    return this.data.failedCount;
  }

  get failedEntries(): readonly string[] {
    return this.data.failed;
  }

  lastCall(process: string): number | undefined {
    return this.data.processes.get(process)?.call;
  }

  worker(member: string): { owner: string; raw?: string } | undefined {
    const listed = this.data.workers.get(member);
    return listed && { owner: listed.owner, raw: listed.job?.raw };
  }

  forEachJob(visit: (raw: string, place: string) => void): void {
    const { lists, delayed, workers, slots, failed } = this.data;
    for (const [queue, list] of lists)
      for (const raw of list.toArray()) visit(raw, queue);
    for (const second of delayed.seconds())
      for (const raw of delayed.jobsAt(second)) visit(raw, "delayed");
    for (const { waiting } of slots.values())
      for (const { raw } of waiting) visit(raw, "waiting");
    for (const [member, { job }] of workers) if (job) visit(job.raw, member);
    for (const entry of failed) visit(entry, "failed");
  }

  inconsistency(): string | undefined {
    const { processes, workers } = this.data;
    const alone = [...processes].filter(
      ([, process]) => process.alone && workers.get(process.alone)?.job,
    );
    return alone.length > 1
      ? `jobs run alone in ${alone.map(([id]) => id).join(" and ")}`
      : undefined;
  }

  private get data() {
    return this.store["data"];
  }
}
