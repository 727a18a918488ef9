/**
 * Limits the requests of a persistent client in a row: one chunk of bytes has more than a thousand. After its turn, others
 * are served and pending output is written.
 */

/** The most that one client does in a turn, in bytes of its requests, and that all clients do in a turn of the event loop. */
const TURN_BYTES = 64 * 1024;
const ALL_BYTES = 256 * 1024;

/**
 * The most that all waiting clients do before the first of them is served again. With less, a chunk of some lines would be
 * cut into several turns, and its replies into as many writes.
 */
const ROUND_BYTES = 8 * ALL_BYTES;

/** What a request counts in addition to its length, for the work. */
const WORK_BYTES = 1024;

interface Client {
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

  /**
   * Whether the client may go on now; otherwise its `onTurn` is called later. The first request may in any case,
   * unless others follow it.
   * @param hasMore it is followed by others, whose replies should be written together with its own (default false)
   */
  mayGoOn(hasMore = false): boolean {
    const mayEnd = this.spent > 0 || hasMore;
    const isSpent = mayEnd && (this.spent >= this.limit || total >= ALL_BYTES);
    if (!this.isOver && isSpent) {
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

/** Clients that wait for their next turn, in order. */
const waiting = new Set<Turn>();

let isScheduled = false;

function enqueue(turn: Turn): void {
  waiting.add(turn);
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
  const turns = [...waiting];
  const limit = Math.min(TURN_BYTES, ROUND_BYTES / turns.length);
  setImmediate(beginTotal);
  for (const turn of turns) setImmediate(beginTurn, turn, limit);
  setImmediate(endTurns);
}

function beginTurn(turn: Turn, limit: number): void {
  if (total >= ALL_BYTES) return;
  waiting.delete(turn);
  turn.begin(limit);
}

function endTurns(): void {
  beginTotal();
  isScheduled = false;
  schedule();
}
