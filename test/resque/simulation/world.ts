/** Simulated time: events in order, and processes that crash, freeze and have clocks of their own. */
import type { Environment, Timer } from "../../../src/resque/machine";
import type { Random } from "./random";

interface Event {
  at: number;
  /** Decides among events of one moment. */
  order: number;
  actor?: Actor;
  work: Work;
  isCancelled: boolean;
}

/** Whose code an event runs: that of the event loop of a process, or of a thread beside it. */
export interface Actor {
  readonly process: SimProcess;
  readonly isDead: boolean;
  /** @returns whether the event has to wait until the actor goes on */
  hold(event: Event): boolean;
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
  schedule(ms: number, work: Work, actor?: Actor): Event {
    const at = this.now + Math.max(ms, 0);
    const event: Event = {
      at,
      order: this.order++,
      actor,
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
      if (event.isCancelled || event.actor?.isDead) continue;
      if (event.at > deadline) {
        this.events.push(event);
        this.now = deadline;
        return;
      }
      this.now = event.at;
      if (event.actor?.hold(event)) continue;
      this.steps++;
      this.current = event.actor?.process;
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
export class SimProcess implements Actor {
  isDead = false;
  private frozenUntil = 0;
  private blockedUntil = 0;
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

  /** The event loop is busy, and threads go on. */
  block(ms: number): void {
    this.blockedUntil = Math.max(this.blockedUntil, this.world.now + ms);
    this.world.note(`the event loop of ${this.name} is blocked for ${ms} ms`);
  }

  thaw(): void {
    const { now } = this.world;
    this.frozenUntil = Math.min(this.frozenUntil, now);
    this.blockedUntil = Math.min(this.blockedUntil, now);
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

  get process(): this {
    return this;
  }

  hold(event: Event): boolean {
    return this.holdUntil(event, this.blockedUntil);
  }

  /** A thread beside the event loop. */
  readonly thread: Actor = threadOf(this);

  holdUntil(event: Event, ms: number): boolean {
    const until = Math.max(this.frozenUntil, ms);
    if (until <= this.world.now) return false;
    this.world.postpone(event, until);
    return true;
  }

  readonly environment: Environment = new SimEnvironment(this);

  get pid(): number {
    return 100 + this.number;
  }
}

function threadOf(process: SimProcess): Actor {
  return {
    process,
    get isDead() {
      return process.isDead;
    },
    hold: (event) => process.holdUntil(event, 0),
  };
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
