/** The clock, timers and connections of workers and schedulers, and how they continue after outages of redis and jumps of the clock. */
import * as os from "node:os";
import { thisMachine, type Machine, type Timer } from "../utils/promises";

export type { Timer };

/**
 * The machine as the engine sees it. Production code uses `systemEnvironment`; the simulation in `test/resque/simulation`
 * gives each simulated process its own, with a skewed clock and timers that depend on a seed.
 */
export interface Environment extends Machine {
  readonly hostname: string;
  readonly pid: number;
  /** @returns a number from 0 (included) to 1 (excluded) */
  random(): number;
}

export const systemEnvironment: Environment = {
  ...thisMachine,
  hostname: os.hostname(),
  pid: process.pid,
  random: Math.random,
};

/** Wait `ms` milliseconds. */
export function pause(environment: Environment, ms: number): Promise<void> {
  return new Promise((resolve) => environment.after(ms, resolve));
}

// --- Detects the beginning and the end of outages of the store, so that each is reported once.

/** The wait before the first repetition of a failed call, in ms; each further one doubles it. */
const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 1_000;

interface OutageListener {
  /** The first call of an outage failed. */
  began(error: Error): void;
  /** A call succeeded again, `ms` milliseconds later. */
  ended(ms: number): void;
}

export class Outage {
  private since?: number;
  private waitMs = FIRST_WAIT_MS;

  constructor(
    private readonly environment: Environment,
    private readonly listener: OutageListener,
  ) {}

  get isOpen(): boolean {
    return this.since !== undefined;
  }

  /**
   * A call failed.
   * @returns how long to wait before it is sent again, in ms
   */
  failed(error: Error): number {
    if (this.since === undefined) {
      this.since = this.environment.monotonic();
      this.listener.began(error);
    }
    const wait = this.waitMs;
    this.waitMs = Math.min(2 * wait, LONGEST_WAIT_MS);
    return wait;
  }

  /** A call succeeded. */
  succeeded(): void {
    if (this.since === undefined) return;
    const ms = Math.round(this.environment.monotonic() - this.since);
    this.since = undefined;
    this.waitMs = FIRST_WAIT_MS;
    this.listener.ended(ms);
  }
}
