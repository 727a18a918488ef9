/** Clocks, timers and randomness of workers and schedulers. */
import { randomBytes } from "node:crypto";
import * as os from "node:os";
import { timerMs } from "../utils/timers";

/** A timer that was started; it does not keep the process alive. */
export interface Timer {
  cancel(): void;
}

/**
 * The machine as the engine sees it. Production code uses `systemEnvironment`; the simulation in `test/resque/simulation`
 * gives each simulated process its own, with a skewed clock and timers that depend on a seed.
 */
export interface Environment {
  readonly hostname: string;
  readonly pid: number;
  /** The wall clock of this machine, in ms since the epoch. It may be wrong, and it may jump. */
  now(): number;
  /** A clock for durations, in ms: it starts anywhere and never goes back. */
  monotonic(): number;
  /** Call `work` once, after `ms` milliseconds. */
  after(ms: number, work: () => void): Timer;
  /** Call `work` after all pending microtasks and callbacks. */
  soon(work: () => void): void;
  /** @returns a number from 0 (included) to 1 (excluded) */
  random(): number;
  /** @returns unique hexadecimal digits, two per byte */
  token(bytes: number): string;
}

class SystemTimer implements Timer {
  private readonly timeout: NodeJS.Timeout;

  constructor(ms: number, work: () => void) {
    this.timeout = setTimeout(work, timerMs(Math.max(ms, 0)));
  }

  cancel(): void {
    clearTimeout(this.timeout);
  }

  unref(): this {
    this.timeout.unref();
    return this;
  }
}

export const systemEnvironment: Environment = {
  hostname: os.hostname(),
  pid: process.pid,
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, work) => new SystemTimer(ms, work).unref(),
  soon: (work) => void setImmediate(work),
  random: Math.random,
  token: (bytes) => randomBytes(bytes).toString("hex"),
};

/** Wait `ms` milliseconds. */
export function pause(environment: Environment, ms: number): Promise<void> {
  return new Promise((resolve) => environment.after(ms, resolve));
}

/** Wait for `work`, at most `ms` milliseconds. */
export async function within(
  environment: Environment,
  work: Promise<unknown> | undefined,
  ms: number,
): Promise<void> {
  let timer: Timer | undefined;
  const late = new Promise<void>((resolve) => {
    timer = environment.after(ms, resolve);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    timer?.cancel();
  }
}
