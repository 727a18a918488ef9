/** Sends scripts that write; each takes effect at most once, and never after its deadline. */
import type { Redis } from "ioredis";
import { randomBytes } from "node:crypto";
import { commandTimedOut } from "./away";
import { CALLS_PER_NAME, runScript, type Script } from "./script";
import { timerMs } from "../utils/promises";

/** The target of a script. */
export interface Place {
  /** The prefix of the keys that record operation ids. On a Redis Cluster, they must be in the slot of `keys`. */
  readonly prefix: string;
  /** The keys of the script. */
  readonly keys: readonly string[];
}

/** Clocks, timers and randomness, of this machine or a simulated one. */
export interface Machine {
  /** In ms since the epoch. */
  now(): number;
  /** A clock that never goes back, in ms. */
  monotonic(): number;
  after(ms: number, work: () => void): { cancel(): void };
  /** Call `work` after all pending microtasks and callbacks. */
  soon(work: () => void): void;
  /** Unique hexadecimal digits. */
  token(bytes: number): string;
}

export const thisMachine: Machine = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, work) => {
    const timer = setTimeout(work, timerMs(ms)).unref();
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (work) => void setImmediate(work),
  token: (bytes) => randomBytes(bytes).toString("hex"),
};

export interface OperationsOptions {
  /** The timeout of a call, in ms. */
  timeoutMs: number;
  /** Returns the time of the store. */
  clock: Script;
  machine: Machine;
}

/** The time when the reply is 1, the negative time when the call was refused, else time and reply. */
type Answer = number | [time: number, reply: unknown];

export class Operations {
  /** Identifies this process in the store, to recognize its repeated calls. */
  private readonly caller: string;
  private number = 0;
  /** Numbers of pending calls, ascending. */
  private readonly waiting = new Set<number>();
  /**
   * The store's clock minus the monotonic clock of this process, or less, because a reading ages on its way. A
   * deadline is therefore never later than the caller's timeout.
   */
  private offset?: number;

  constructor(
    private readonly redis: Redis,
    private readonly options: OperationsOptions,
  ) {
    this.caller = options.machine.token(9);
    // an earlier reply may come from another server with another clock
    redis.on("ready", () => {
      this.offset = undefined;
    });
  }

  /** The estimated time of the store, in ms. */
  estimate(): number {
    const { machine } = this.options;
    return this.offset === undefined
      ? machine.now()
      : machine.monotonic() + this.offset;
  }

  /** The time of the store, measured again. */
  async measure({ keys }: Place): Promise<number> {
    const { clock } = this.options;
    const time = (await runScript(this.redis, clock, keys, [])) as number;
    this.read(time);
    return time;
  }

  /** A call that takes effect once, even if it arrives several times. */
  async once(
    script: Script,
    place: Place,
    args: readonly (string | number)[],
  ): Promise<unknown> {
    const number = ++this.number;
    this.waiting.add(number);
    try {
      return await this.send(script, place, args, number);
    } finally {
      this.waiting.delete(number);
    }
  }

  /** A call that may run several times, but not after its deadline. */
  intime(
    script: Script,
    place: Place,
    args: readonly (string | number)[],
  ): Promise<unknown> {
    return this.send(script, place, args, 0);
  }

  private async send(
    script: Script,
    place: Place,
    args: readonly (string | number)[],
    number: number,
  ): Promise<unknown> {
    const { timeoutMs, machine } = this.options;
    const deadline = machine.monotonic() + timeoutMs;
    for (let isFirst = true; ; isFirst = false) {
      const offset = this.offset ?? (await this.measureOffset(place));
      const latest = Math.floor(deadline + offset);
      const framed = script.isTimed
        ? [...args, latest]
        : this.frame(place.prefix, number, latest, args);
      const call = runScript(this.redis, script, place.keys, framed);
      const answer = (await (isFirst
        ? call
        : until(machine, deadline, call))) as Answer;
      const time = typeof answer === "number" ? answer : answer[0];
      this.read(Math.abs(time));
      if (typeof answer !== "number") return answer[1];
      if (time > 0) return 1;
      // the offset was too low, e.g. because this process was suspended: measure again, and keep the number
      if (machine.monotonic() >= deadline) throw commandTimedOut();
    }
  }

  /** The arguments of a script of `frame`. */
  private frame(
    prefix: string,
    number: number,
    latest: number,
    args: readonly (string | number)[],
  ): (string | number)[] {
    const generation = Math.floor(number / CALLS_PER_NAME);
    const first = generation * CALLS_PER_NAME;
    return [
      prefix,
      number === 0 ? "" : `${this.caller}:${generation}`,
      number - first,
      this.lowest(number) - first,
      latest,
      2 * this.options.timeoutMs,
      ...args,
    ];
  }

  private async measureOffset(place: Place): Promise<number> {
    const time = await this.measure(place);
    return this.offset ?? this.read(time);
  }

  private read(time: number): number {
    this.offset = time - this.options.machine.monotonic();
    return this.offset;
  }

  private lowest(number: number): number {
    for (const first of this.waiting) return first;
    return number;
  }
}

/** The outcome of `call`, or a rejection after the deadline. */
function until<Result>(
  machine: Machine,
  deadline: number,
  call: Promise<Result>,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const ms = Math.max(deadline - machine.monotonic(), 1);
    const giveUp = () => reject(commandTimedOut());
    // a reply may have arrived already: after a pause of this process, timers fire before received data
    const timer = machine.after(ms, () => machine.soon(giveUp));
    call.then(resolve, reject).finally(() => timer.cancel());
  });
}
