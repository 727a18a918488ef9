/**
 * Paces the requests of persistent clients: turns, rate and order. One chunk of bytes may have more than a thousand requests:
 * after a client's turn, others are served and pending output is written. What is written for the clients of all servers in
 * a turn of the event loop has a limit, too.
 */
import { AddressQueue } from "../utils/addressQueue";

/** The most that one client does in a turn, in bytes of its requests, and that all clients do in a turn of the event loop. */
const TURN_BYTES = 64 * 1024;
const ALL_BYTES = 256 * 1024;

/**
 * The most that all waiting clients do before the first of them is served again. With less, a chunk of some lines would be
 * cut into several turns, and its replies into as many writes.
 */
const ROUND_BYTES = 8 * ALL_BYTES;

/** Added to the length of each request, for its work. */
const WORK_BYTES = 1024;

interface Client {
  readonly clientAddress: string | undefined;
  /** Called when its next turn begins. */
  onTurn(): void;
}

/** How much all clients have done in this turn of the event loop. */
let total = 0;

function beginTotal(): void {
  total = 0;
}

export class Turn {
  /** The client waits for its next turn. */
  isOver = false;
  private spent = 0;
  private limit = TURN_BYTES;

  constructor(private readonly client: Client) {}

  get address(): string | undefined {
    return this.client.clientAddress;
  }

  /**
   * Whether the client may go on now; otherwise its `onTurn` is called later. The first request may in any case,
   * unless others follow it, or too much was written.
   * @param hasMore it is followed by others, whose replies should be written together with its own (default false)
   */
  mayGoOn(hasMore = false): boolean {
    const mayEnd = this.spent > 0 || hasMore;
    const isSpent = mayEnd && (this.spent >= this.limit || total >= ALL_BYTES);
    if (!this.isOver && (isSpent || isOutputSpent())) {
      this.isOver = true;
      enqueue(this);
    }
    return !this.isOver;
  }

  /** Count a request, and whatever else makes it costly, in bytes. */
  spend(bytes: number): void {
    const cost = WORK_BYTES + bytes;
    // a client that waits for each reply never comes to the end of its turn
    if (crosses(this.spent, cost, TURN_BYTES / 2)) setImmediate(renew, this);
    if (crosses(total, cost, ALL_BYTES / 2)) setImmediate(beginTotal);
    this.spent += cost;
    total += cost;
  }

  renew(): void {
    if (this.isOver) return;
    this.spent = 0;
    this.limit = TURN_BYTES;
  }

  /** @param limit how much the client may do, in bytes */
  begin(limit: number): void {
    this.isOver = false;
    this.spent = 0;
    this.limit = limit;
    this.client.onTurn();
  }
}

function crosses(before: number, added: number, line: number): boolean {
  return before < line && before + added >= line;
}

function renew(turn: Turn): void {
  turn.renew();
}

/** Clients that wait for their next turn. */
const waiting = new AddressQueue<Turn>();

let isScheduled = false;

function enqueue(turn: Turn): void {
  waiting.add(turn, turn.address);
  schedule();
}

function schedule(): void {
  if (isScheduled || waiting.size === 0) return;
  isScheduled = true;
  setImmediate(serve);
}

/**
 * The more clients wait, the less each of them does before the next one. Each has a callback of its own: between them, node
 * runs what its actions have begun, so that their responses exist, and are counted, before others begin.
 */
function serve(): void {
  const count = waiting.size;
  const limit = Math.min(TURN_BYTES, ROUND_BYTES / count);
  setImmediate(beginTotal);
  for (let i = 0; i < count; i++) setImmediate(beginNext, limit);
  setImmediate(endTurns);
}

function beginNext(limit: number): void {
  if (total >= ALL_BYTES || isOutputSpent()) return;
  waiting.take()?.begin(limit);
}

function endTurns(): void {
  beginTotal();
  isScheduled = false;
  schedule();
}

// --- Limits what is written in a turn of the event loop, by persistent connections and over HTTP.

/**
 * When so much was written, in bytes, further requests of any client wait for the next turn of the event loop: until then
 * nobody else is served, and what a disconnected client has not read stays in memory.
 */
const OUTPUT_BYTES = 8 * 1024 * 1024;

/** How much has been written in this turn of the event loop. */
let output = 0;

function beginOutput(): void {
  output = 0;
}

/** Count what was written for a client. */
export function noteOutput(bytes: number): void {
  if (crosses(output, bytes, OUTPUT_BYTES / 2)) setImmediate(beginOutput);
  output += bytes;
}

/** A client was disconnected for what it has not read, which is freed at the end of this turn of the event loop. */
export function endOutput(): void {
  noteOutput(OUTPUT_BYTES);
}

/** Whether requests must wait for the next turn of the event loop. */
export function isOutputSpent(): boolean {
  return output >= OUTPUT_BYTES;
}

// --- The rate, and the order, of one client's requests.

/** Counts events per second. */
export class RateWindow {
  private start = 0;
  private count = 0;

  /**
   * Count one event, unless the limit is reached.
   * @param limit events per second; 0: no limit, nothing is counted
   * @returns 0, or how long the event has to wait, in ms
   */
  take(limit: number): number {
    if (!(limit > 0)) return 0;
    const now = performance.now();
    if (now - this.start >= 1000) {
      this.start = now;
      this.count = 0;
    }
    if (this.count >= limit) return this.start + 1000 - now;
    this.count++;
    return 0;
  }
}

/** Runs tasks one after the other, the first one at once. */
export class Sequence {
  private last: Promise<void> | undefined = undefined;

  /**
   * @param task must not reject
   * @returns a promise for its end
   */
  add(task: () => Promise<void>): Promise<void> {
    const done = this.last ? this.last.then(task) : task();
    this.last = done;
    void done.then(() => {
      if (this.last === done) this.last = undefined;
    });
    return done;
  }
}
