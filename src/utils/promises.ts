/** Promises and timers: bounded waits, slots, limits of durations, and the clock of this machine or a simulated one. */
import { ActionheroError, type ErrorCode } from "../errors";
import { randomBytes } from "node:crypto";

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === "function";
}

/** The outcome of a function as a promise: an `async` function would wait for a promise that it returns once more. */
export function promiseOf<T>(run: () => T | Promise<T>): Promise<T> {
  try {
    return Promise.resolve(run());
  } catch (error) {
    return rejected(error);
  }
}

/** Whatever was thrown, as it is. */
async function rejected(error: unknown): Promise<never> {
  throw error;
}

/**
 * The outcome of `work`, or a rejection after `ms` milliseconds.
 * @param message builds the error message, if needed
 */
export function withTimeout<T>(
  ms: number,
  work: Promise<T>,
  code: ErrorCode,
  message: () => string,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const giveUp = () => reject(new ActionheroError(code, message()));
    // a result may have arrived already: after a pause of this process, timers fire before received data
    const timer = setTimeout(() => setImmediate(giveUp), timerMs(ms));
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Timers that keep the process alive, unlike those of `thisMachine`. */
const lastingTimers: Pick<Machine, "after"> = {
  after: (ms, work) => {
    const timer = setTimeout(work, timerMs(ms));
    return { cancel: () => clearTimeout(timer) };
  },
};

/**
 * Wait for `work`, at most `ms` milliseconds; a late outcome is ignored, an early rejection is thrown.
 * @param machine whose timer ends the wait
 * @returns whether it ended in time
 */
export async function waitAtMost(
  ms: number,
  work: Promise<unknown> | undefined,
  machine = lastingTimers,
): Promise<boolean> {
  let timer: Timer | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = machine.after(ms, () => resolve(false));
  });
  const inTime = Promise.resolve(work).then(() => true);
  try {
    return await Promise.race([inTime, late]);
  } finally {
    timer?.cancel();
  }
}

/** Resolves after `ms` milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, timerMs(ms)));
}

// --- Durations that come from settings or callers.

/** The longest delay of node's timers, in ms (24.8 days); a longer one fires immediately. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Limits a delay, which may be Infinity, to the longest that timers support. */
export function timerMs(ms: number): number {
  return Math.min(ms, MAX_TIMER_MS);
}

/** A number of slots for work that must not run more often at once. Those who wait are grouped, and the groups take turns. */
export class Slots {
  private used = 0;
  /** The group whose turn is next comes first. */
  private readonly waiting = new Map<string, (() => void)[]>();

  constructor(private readonly limit: number) {}

  /** @returns false if all are used */
  takeNow(): boolean {
    if (this.used >= this.limit) return false;
    this.used++;
    return true;
  }

  /** Resolves when a slot is free, in the order of the calls of a group. */
  take(group = ""): Promise<void> {
    if (this.takeNow()) return Promise.resolve();
    return new Promise((resolve) => {
      const queue = this.waiting.get(group);
      if (queue) queue.push(resolve);
      else this.waiting.set(group, [resolve]);
    });
  }

  release(): void {
    const [turn] = this.waiting;
    if (!turn) {
      this.used--;
      return;
    }
    const [group, queue] = turn;
    const next = queue.shift()!;
    this.waiting.delete(group);
    if (queue.length > 0) this.waiting.set(group, queue);
    next();
  }
}

// --- Clocks, timers and randomness, of this machine or a simulated one.

/** A timer that was started; it does not keep the process alive. */
export interface Timer {
  cancel(): void;
}

/** Clocks, timers and randomness, of this machine or a simulated one. */
export interface Machine {
  /** The wall clock, in ms since the epoch. It may be wrong, and it may jump. */
  now(): number;
  /** A clock for durations, in ms: it starts anywhere and never goes back. */
  monotonic(): number;
  /** Call `work` once, after `ms` milliseconds. */
  after(ms: number, work: () => void): Timer;
  /** Call `work` after all pending microtasks and callbacks. */
  soon(work: () => void): void;
  /** @returns unique hexadecimal digits, two per byte */
  token(bytes: number): string;
}

export const thisMachine: Machine = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, work) => {
    const timer = setTimeout(work, timerMs(Math.max(ms, 0))).unref();
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (work) => void setImmediate(work),
  token: (bytes) => randomBytes(bytes).toString("hex"),
};
