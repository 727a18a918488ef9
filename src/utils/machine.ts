/** Clocks, timers and randomness, of this machine or a simulated one. */
import { randomBytes } from "node:crypto";
import { timerMs } from "./promises";

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
