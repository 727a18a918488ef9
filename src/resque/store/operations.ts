/** Sends the scripts that write: once each, and not after their deadline. */
import { randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
import { runScript, type Script } from "../../redis/script";
import { within } from "../../redis/bounded";
import { DONE } from "./lua/operation";

export interface OperationsOptions {
  prefix: string;
  /** How long a call may take, in ms. */
  timeoutMs: number;
  /** Returns the time of the store. */
  clock: Script;
}

const TIMED_OUT = "Command timed out";

export class Operations {
  /** Names this process at the store: its repeated calls are told from others by it. */
  private readonly caller = randomBytes(9).toString("base64url");
  private number = 0;
  /** Numbers of the calls that somebody waits for, ascending. */
  private readonly waiting = new Set<number>();
  /**
   * The store's clock minus `performance.now()`, or less: what was read is older when it arrives. So a deadline is never
   * later than the end of the wait.
   */
  private offset?: number;

  constructor(
    private readonly redis: Redis,
    private readonly options: OperationsOptions,
  ) {
    // another server may have answered before, with another clock
    redis.on("ready", () => {
      this.offset = undefined;
    });
  }

  /** The store's time as far as it is known, in ms. */
  estimate(): number {
    return this.offset === undefined
      ? Date.now()
      : performance.now() + this.offset;
  }

  /** The store's time, asked anew. */
  async measure(): Promise<number> {
    const { clock, prefix } = this.options;
    const keys = [`${prefix}queues`];
    const time = (await runScript(this.redis, clock, keys, [])) as number;
    this.read(time);
    return time;
  }

  /** A call that takes effect once, however often it arrives. */
  async once(
    script: Script,
    args: readonly (string | number)[],
  ): Promise<unknown> {
    const number = ++this.number;
    this.waiting.add(number);
    try {
      return await this.send(script, args, number);
    } finally {
      this.waiting.delete(number);
    }
  }

  /** A call that may arrive several times, but not late. */
  intime(script: Script, args: readonly (string | number)[]): Promise<unknown> {
    return this.send(script, args, 0);
  }

  private async send(
    script: Script,
    args: readonly (string | number)[],
    number: number,
  ): Promise<unknown> {
    const { prefix, timeoutMs } = this.options;
    const deadline = performance.now() + timeoutMs;
    const caller = number === 0 ? "" : this.caller;
    for (let isFirst = true; ; isFirst = false) {
      const offset = this.offset ?? (await this.measureOffset());
      const call = runScript(
        this.redis,
        script,
        [`${prefix}queues`],
        [
          prefix,
          caller,
          number,
          this.lowest(number),
          Math.floor(deadline + offset),
          2 * timeoutMs,
          ...args,
        ],
      );
      const [state, time, reply] = (await (isFirst
        ? call
        : until(deadline, call))) as [number, number, unknown];
      this.read(time);
      if (state === DONE) return reply;
      // the offset was too low, e.g. because this process stood still: measured anew, with the same number
      if (performance.now() >= deadline) throw new Error(TIMED_OUT);
    }
  }

  private async measureOffset(): Promise<number> {
    const time = await this.measure();
    return this.offset ?? this.read(time);
  }

  private read(time: number): number {
    this.offset = time - performance.now();
    return this.offset;
  }

  private lowest(number: number): number {
    for (const first of this.waiting) return first;
    return number;
  }
}

function until<Result>(
  deadline: number,
  call: Promise<Result>,
): Promise<Result> {
  const ms = Math.max(deadline - performance.now(), 1);
  return within(ms, call, "AH_REDIS_TIMEOUT", () => TIMED_OUT);
}
