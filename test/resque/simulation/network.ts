/** The network between simulated processes and their store: it delays, repeats, drops, and answers late. */
import type { Actor, SimProcess, World } from "./world";

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
export const TIMEOUT_MS = 200;

/** Runs at the store each time that a request arrives. @returns the reply; undefined for none */
export type Delivery = () => Promise<unknown> | undefined;

const IGNORE = () => undefined;

export class Network {
  faults = QUIET;
  /** The store is in this process, and its replies need not be waited for. */
  isLocal = false;
  private readonly cutOff = new Map<SimProcess, number>();
  private downUntil = 0;

  constructor(private readonly world: World) {}

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

  /**
   * Send a request and wait for its reply.
   * @throws Error "Command timed out", which says nothing about whether the request has arrived or will
   */
  send(
    actor: Actor,
    name: string,
    deliver: Delivery,
    timeoutMs = TIMEOUT_MS,
  ): Promise<unknown> {
    const { world, faults } = this;
    const { random } = world;
    return new Promise((resolve, reject) => {
      let isOver = false;
      const settle = (work: () => void) => () => {
        if (isOver) return;
        isOver = true;
        timer.isCancelled = true;
        work();
      };
      const arrive = () => {
        const reply = this.reaches(actor.process) ? deliver() : undefined;
        if (!reply) return;
        const ran = reply.catch(IGNORE); // its reply may be lost
        if (!random.chance(faults.lostReplies))
          world.schedule(
            this.delay(),
            settle(() => resolve(reply)),
            actor,
          );
        return this.isLocal ? undefined : ran;
      };
      if (!random.chance(faults.lostRequests))
        world.schedule(this.delay(), arrive);
      if (random.chance(faults.repeated))
        world.schedule(this.delay() + random.between(0, 400), arrive);
      const late = settle(() => {
        const error = new Error(`${name}: Command timed out`);
        reject(Object.assign(error, { code: "AH_REDIS_TIMEOUT" }));
      });
      const timer = world.schedule(timeoutMs, late, actor);
    });
  }

  /** Whether what is sent now arrives. */
  reaches(process: SimProcess): boolean {
    const { now } = this.world;
    return now >= this.downUntil && now >= (this.cutOff.get(process) ?? 0);
  }

  /** The latency of a message, in ms. */
  delay(): number {
    const { random } = this.world;
    if (random.chance(this.faults.late))
      return random.between(1, this.faults.lateMs);
    return random.between(0, 3);
  }
}
