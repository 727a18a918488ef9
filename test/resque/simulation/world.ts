/** Simulated time: events in order, and processes that crash, freeze and have clocks of their own. */
import type { Environment, Timer } from "../../../src/resque/environment";
import type { Random } from "./random";

interface Event {
  at: number;
  /** Decides among events of one moment. */
  order: number;
  process?: SimProcess;
  work: Work;
  isCancelled: boolean;
}

/** What an event does; while a promise of it is pending the world stands still. */
export type Work = () => void | Promise<unknown>;

/** One run of the simulation: what a seed decides is what happens. */
export class World {
  /** The true time, in ms: that of the store. */
  now = 1_800_000_000_000;
  readonly begin = this.now;
  /** Number of events that happened. */
  steps = 0;
  readonly history: string[] = [];
  /** The process whose code runs. */
  current?: SimProcess;
  private readonly events = new Heap();
  private order = 0;

  constructor(readonly random: Random) {}

  /** Something that happens later; in a process that crashed it does not, in a frozen one it waits. */
  schedule(ms: number, work: Work, process?: SimProcess): Event {
    const at = this.now + Math.max(ms, 0);
    const event: Event = {
      at,
      order: this.order++,
      process,
      work,
      isCancelled: false,
    };
    this.events.push(event);
    return event;
  }

  postpone(event: Event, at: number): void {
    event.at = at;
    event.order = this.order++;
    this.events.push(event);
  }

  /** Run until `until` is true at a step, or until `deadline` has passed. */
  async run(
    deadline: number,
    afterStep: () => void,
    until: () => boolean = () => false,
  ): Promise<void> {
    while (!until()) {
      const event = this.events.pop();
      if (!event) return;
      if (event.isCancelled || event.process?.isDead) continue;
      if (event.at > deadline) {
        this.events.push(event);
        this.now = deadline;
        return;
      }
      this.now = event.at;
      if (event.process?.hold(event)) continue;
      this.steps++;
      this.current = event.process;
      const pending = event.work();
      if (pending) await pending;
      await settled();
      afterStep();
    }
  }

  note(text: string): void {
    this.history.push(`${String(this.now - this.begin).padStart(7)} ${text}`);
  }
}

/** Every promise that is ready has been served: Node runs a tick when no microtask is left. */
function settled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

/** A process of the simulation. Its awaits end through events of the world, so a crash between two events is one at an await. */
export class SimProcess {
  isDead = false;
  private frozenUntil = 0;
  /** Added to the true time, in ms. */
  skewMs = 0;

  constructor(
    readonly world: World,
    readonly name: string,
    private readonly number: number,
  ) {}

  crash(): void {
    this.isDead = true;
    this.world.note(`${this.name} crashes`);
  }

  freeze(ms: number, isNoted = true): void {
    this.frozenUntil = Math.max(this.frozenUntil, this.world.now + ms);
    if (isNoted) this.world.note(`${this.name} freezes for ${ms} ms`);
  }

  thaw(): void {
    this.frozenUntil = Math.min(this.frozenUntil, this.world.now);
  }

  exit(): void {
    this.isDead = true;
    this.world.note(`${this.name} ends`);
  }

  setClock(skewMs: number): void {
    this.skewMs = skewMs;
    this.world.note(`the clock of ${this.name} is ${skewMs} ms ahead`);
  }

  get isFrozen(): boolean {
    return this.frozenUntil > this.world.now;
  }

  /** @returns whether the event has to wait until the process goes on */
  hold(event: Event): boolean {
    if (!this.isFrozen) return false;
    this.world.postpone(event, this.frozenUntil);
    return true;
  }

  readonly environment: Environment = new SimEnvironment(this);

  get pid(): number {
    return 100 + this.number;
  }
}

class SimEnvironment implements Environment {
  readonly hostname = "sim";

  constructor(private readonly process: SimProcess) {}

  get pid(): number {
    return this.process.pid;
  }

  now(): number {
    return this.process.world.now + this.process.skewMs;
  }

  monotonic(): number {
    return this.process.world.now - this.process.world.begin;
  }

  after(ms: number, work: () => void): Timer {
    const event = this.process.world.schedule(ms, work, this.process);
    return {
      cancel() {
        event.isCancelled = true;
      },
    };
  }

  soon(work: () => void): void {
    this.after(0, work);
  }

  random(): number {
    return this.process.world.random.next();
  }

  token(bytes: number): string {
    return this.process.world.random.hex(2 * bytes);
  }
}

/** A binary heap of events, the earliest first. */
class Heap {
  private readonly list: Event[] = [];

  push(event: Event): void {
    const { list } = this;
    let at = list.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(list[parent], event)) break;
      list[at] = list[parent]!;
      at = parent;
    }
    list[at] = event;
  }

  pop(): Event | undefined {
    const { list } = this;
    const first = list[0];
    const last = list.pop();
    if (list.length === 0 || !last) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= list.length) break;
      if (child + 1 < list.length && isBefore(list[child + 1], list[child]))
        child++;
      if (isBefore(last, list[child])) break;
      list[at] = list[child]!;
      at = child;
    }
    list[at] = last;
    return first;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
