/** Commands that get no answer in time are given up, without a timer for each of them. */
import type { Command, Redis } from "ioredis";
import { commandTimedOut } from "./away";

/** How many commands are kept before those that have their answer are looked for. */
const MIN_LIMIT = 64;

/**
 * Have the commands of a client share one timer for its `commandTimeout`. ioredis starts and clears one for each, which
 * costs a twentieth of a round trip (bench/cache.ts, 1 in flight). Clients that are duplicated from this one do that.
 *
 * A command that was given up is not sent any more: ioredis would do so when a connection is there, or again over the next
 * one, and what its caller takes for failed would happen. What is on its way already cannot be called back.
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
    // another ioredis, that a project brings, may not tell which commands have their answer
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
  /** Commands whose callers were told that they failed; none on most connections. */
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

  /** Unreferenced: what holds the process is the connection. */
  private wake(ms: number): void {
    this.timer = setTimeout(later, ms, this).unref();
  }

  /** At least half of what is kept from then on waits for its answer, or was refused lately. */
  private forgetAnswered(): void {
    this.keep(this.pending.filter(({ command }) => !command.isResolved));
  }

  /** The limit goes down again, too: after a burst, it would hold the arguments of as many commands for their time. */
  private keep(pending: Deadline[]): void {
    this.pending = pending;
    this.limit = Math.max(MIN_LIMIT, pending.length * 2);
  }
}

/** An answer may be there already: when this process stood still, timers come before what has arrived. */
function later(deadlines: Deadlines): void {
  setImmediate(() => deadlines.giveUp());
}
