/** Times out commands without a timer per command. */
import type { Command, Redis } from "ioredis";
import { commandTimedOut } from "./away";
import { timerMs } from "../utils/promises";

/** The number of stored commands at which completed ones are removed. */
const MIN_LIMIT = 64;

/**
 * Have the commands of a client share one timer for its `commandTimeout`. ioredis starts and clears one for each, which
 * costs a twentieth of a round trip (bench/cache.ts, 1 in flight). Duplicates of this client still do that.
 *
 * A command that timed out is no longer sent: ioredis would send it when a connection is available, or again over
 * the next one, and an operation that was reported as failed would take effect. Commands already sent cannot be
 * recalled.
 */
export function shareTimeouts(client: Redis): void {
  const deadlines = new Deadlines();
  client.on("end", () => deadlines.clear());
  // ioredis calls it for a command that has a timeout
  const setTimeout = function (this: Command, ms: number) {
    deadlines.add(this, ms);
  };
  const send = client.sendCommand.bind(client);
  client.sendCommand = (command, stream) => {
    if (deadlines.isGivenUp(command)) return command.promise;
    // another version of ioredis may not expose which commands are complete
    if (command.isResolved === false) command.setTimeout = setTimeout;
    return send(command, stream);
  };
}

interface Deadline {
  command: Command;
  /** ms since the process began. */
  due: number;
}

class Deadlines {
  /** Commands that timed out; empty on most connections. */
  private givenUp?: WeakSet<Command>;
  private pending: Deadline[] = [];
  private limit = MIN_LIMIT;
  private timer: NodeJS.Timeout | undefined;

  add(command: Command, ms: number): void {
    this.pending.push({ command, due: performance.now() + ms });
    if (this.pending.length >= this.limit) this.forgetAnswered();
    if (!this.timer) this.wake(ms);
  }

  isGivenUp(command: Command): boolean {
    return this.givenUp !== undefined && this.givenUp.has(command);
  }

  clear(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.pending = [];
  }

  giveUp(): void {
    this.timer = undefined;
    const now = performance.now();
    const left: Deadline[] = [];
    let next = Infinity;
    for (const deadline of this.pending) {
      const { command, due } = deadline;
      if (command.isResolved) continue;
      if (due <= now) {
        this.givenUp ??= new WeakSet();
        this.givenUp.add(command);
        command.reject(commandTimedOut());
        continue;
      }
      left.push(deadline);
      next = Math.min(next, due);
    }
    this.keep(left);
    if (next < Infinity) this.wake(next - now);
  }

  /** Unreferenced: the connection keeps the process alive. */
  private wake(ms: number): void {
    this.timer = setTimeout(later, timerMs(ms), this).unref();
  }

  /** From then on, at least half of the stored commands are pending or recently timed out. */
  private forgetAnswered(): void {
    this.keep(this.pending.filter(({ command }) => !command.isResolved));
  }

  /**
   * The limit also shrinks again: otherwise, after a burst, the arguments of that many commands would stay in memory.
   */
  private keep(pending: Deadline[]): void {
    this.pending = pending;
    this.limit = Math.max(MIN_LIMIT, pending.length * 2);
  }
}

/** A reply may have arrived already: after a pause of this process, timers fire before received data. */
function later(deadlines: Deadlines): void {
  setImmediate(() => deadlines.giveUp());
}
