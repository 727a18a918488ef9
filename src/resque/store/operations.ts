/** Sends the scripts that write: once each, and not after their deadline. */
import type { Redis } from "ioredis";
import { commandTimedOut } from "../../redis/away";
import { runScript, type Script } from "../../redis/script";
import type { Environment } from "../environment";
import { CALLS_PER_NAME } from "./lua/operation";

export interface OperationsOptions {
  prefix: string;
  /** How long a call may take, in ms. */
  timeoutMs: number;
  /** Returns the time of the store. */
  clock: Script;
  environment: Environment;
}

/** The time when the reply is 1, the negative time when the call was refused, else time and reply. */
type Answer = number | [time: number, reply: unknown];

export class Operations {
  /** Names this process at the store: its repeated calls are told from others by it. */
  private readonly caller: string;
  private number = 0;
  /** Numbers of the calls that somebody waits for, ascending. */
  private readonly waiting = new Set<number>();
  /**
   * The store's clock minus the monotonic one of this process, or less: what was read is older when it arrives. So a deadline is never
   * later than the end of the wait.
   */
  private offset?: number;

  constructor(
    private readonly redis: Redis,
    private readonly options: OperationsOptions,
  ) {
    this.caller = options.environment.token(9);
    // another server may have answered before, with another clock
    redis.on("ready", () => {
      this.offset = undefined;
    });
  }

  /** The store's time as far as it is known, in ms. */
  estimate(): number {
    const { environment } = this.options;
    return this.offset === undefined
      ? environment.now()
      : environment.monotonic() + this.offset;
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
    const { prefix, timeoutMs, environment } = this.options;
    const deadline = environment.monotonic() + timeoutMs;
    const generation = Math.floor(number / CALLS_PER_NAME);
    const first = generation * CALLS_PER_NAME;
    const name = number === 0 ? "" : `${this.caller}:${generation}`;
    for (let isFirst = true; ; isFirst = false) {
      const offset = this.offset ?? (await this.measureOffset());
      const call = runScript(
        this.redis,
        script,
        [`${prefix}queues`],
        [
          prefix,
          name,
          number - first,
          this.lowest(number) - first,
          Math.floor(deadline + offset),
          2 * timeoutMs,
          ...args,
        ],
      );
      const answer = (await (isFirst
        ? call
        : until(environment, deadline, call))) as Answer;
      const time = typeof answer === "number" ? answer : answer[0];
      this.read(Math.abs(time));
      if (typeof answer !== "number") return answer[1];
      if (time > 0) return 1;
      // the offset was too low, e.g. because this process stood still: measured anew, with the same number
      if (environment.monotonic() >= deadline) throw commandTimedOut();
    }
  }

  private async measureOffset(): Promise<number> {
    const time = await this.measure();
    return this.offset ?? this.read(time);
  }

  private read(time: number): number {
    this.offset = time - this.options.environment.monotonic();
    return this.offset;
  }

  private lowest(number: number): number {
    for (const first of this.waiting) return first;
    return number;
  }
}

/** The outcome of `call`, or a rejection after the deadline. */
function until<Result>(
  environment: Environment,
  deadline: number,
  call: Promise<Result>,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const ms = Math.max(deadline - environment.monotonic(), 1);
    const giveUp = () => reject(commandTimedOut());
    // an answer may be there already: when this process stood still, timers come before what has arrived
    const timer = environment.after(ms, () => environment.soon(giveUp));
    call.then(resolve, reject).finally(() => timer.cancel());
  });
}
