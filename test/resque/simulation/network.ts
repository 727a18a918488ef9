/** The network between simulated processes and their store: it delays, repeats, drops, and answers late. */
import { toError } from "../../../src/errors";
import type {
  QueueStore,
  Waiting,
  WakeTarget,
} from "../../../src/resque/store/store";
import type { SimProcess, World } from "./world";

export interface NetworkFaults {
  /** Share of requests that never arrive. */
  lostRequests: number;
  /** Share of replies that never arrive. */
  lostReplies: number;
  /** Share of requests that arrive twice, the second one later. */
  repeated: number;
  /** Share of requests and replies that take up to `lateMs`. */
  late: number;
  lateMs: number;
}

const QUIET: NetworkFaults = {
  lostRequests: 0,
  lostReplies: 0,
  repeated: 0,
  late: 0,
  lateMs: 0,
};

/** How long a call waits for its reply, in ms. */
const TIMEOUT_MS = 200;
/** Share of wake-ups that get lost: polls find the jobs. */
const LOST_WAKE_UPS = 0.2;

type Operation = (...args: unknown[]) => unknown;
type Operations = Record<string, Operation>;

interface Waiter {
  process: SimProcess;
  wake: (isCalled: boolean) => void;
}

/** Sees every operation of the store at the moment when it takes effect. */
export interface Witness {
  /** @returns called when the operation has run */
  operation(process: SimProcess, name: string, args: unknown[]): () => void;
}

export class Network {
  faults = QUIET;
  private readonly waiters = new Set<Waiter>();
  private readonly cutOff = new Map<SimProcess, number>();
  private downUntil = 0;

  /**
   * @param store runs each operation at once, when it is called
   * @param marks counts additions to the store
   */
  constructor(
    private readonly world: World,
    private readonly store: QueueStore,
    private readonly witness: Witness,
  ) {}

  /** Nobody reaches the store for `ms` milliseconds. */
  outage(ms: number): void {
    this.downUntil = Math.max(this.downUntil, this.world.now + ms);
    this.world.note(`the store is away for ${ms} ms`);
  }

  cut(process: SimProcess, ms: number): void {
    this.cutOff.set(process, this.world.now + ms);
    this.world.note(`${process.name} is cut off for ${ms} ms`);
  }

  /** All faults end. */
  heal(): void {
    this.faults = QUIET;
    this.downUntil = 0;
    this.cutOff.clear();
  }

  /** The store as a process sees it. */
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

  /** The rules that `redisStore` keeps: a call is refused after its deadline, and a repetition of it changes nothing. */
  private call(
    process: SimProcess,
    name: string,
    args: unknown[],
    operation: () => unknown,
  ): Promise<unknown> {
    const { world, faults } = this;
    const { random } = world;
    // an exchange is numbered, so that one that comes late does no harm
    const deadline = name === "exchange" ? Infinity : world.now + TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      let isOver = false;
      let answer: Promise<unknown> | undefined;
      const settle = (work: () => void) => () => {
        if (isOver) return;
        isOver = true;
        timer.isCancelled = true;
        work();
      };
      const arrive = () => {
        if (world.now >= deadline || !this.reaches(process)) return;
        answer ??= this.run(process, name, args, operation);
        if (random.chance(faults.lostReplies)) return;
        const reply = settle(() => resolve(answer));
        world.schedule(this.delay(), reply, process);
      };
      if (!random.chance(faults.lostRequests))
        world.schedule(this.delay(), arrive);
      if (random.chance(faults.repeated))
        world.schedule(this.delay() + random.between(0, 400), arrive);
      const late = settle(() => {
        reject(new Error(`${name}: Command timed out`));
      });
      const timer = world.schedule(TIMEOUT_MS, late, process);
    });
  }

  private run(
    process: SimProcess,
    name: string,
    args: unknown[],
    operation: () => unknown,
  ): Promise<unknown> {
    const additions = this.store.mark();
    const hasRun = this.witness.operation(process, name, args);
    let answer: Promise<unknown>;
    try {
      answer = Promise.resolve(operation());
    } catch (error) {
      answer = Promise.reject(toError(error));
    }
    answer.catch(() => undefined); // its reply may be lost
    hasRun();
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
    const { world, waiters } = this;
    for (const waiter of waiters) {
      const { process } = waiter;
      if (process.isDead) waiters.delete(waiter);
      else if (!world.random.chance(LOST_WAKE_UPS) && this.reaches(process))
        world.schedule(this.delay(), () => waiter.wake(true), process);
    }
  }

  private reaches(process: SimProcess): boolean {
    const { now } = this.world;
    return now >= this.downUntil && now >= (this.cutOff.get(process) ?? 0);
  }

  private delay(): number {
    const { random } = this.world;
    if (random.chance(this.faults.late))
      return random.between(1, this.faults.lateMs);
    return random.between(0, 3);
  }
}
