/**
 * Limits the requests of a persistent client in a row: one chunk of bytes has more than a thousand. After its turn, others
 * are served and pending output is written.
 */

/** A turn of one client, in bytes of its requests; and what clients that wait for their next turn may do at a time. */
const TURN_BYTES = 64 * 1024;
const ALL_BYTES = 256 * 1024;

/** What a request counts in addition to its length, for the work. */
const WORK_BYTES = 1024;

interface Client {
  /** Called when its next turn begins. */
  onTurn(): void;
}

export class Turn {
  /** The client waits for its next turn. */
  isOver = false;
  private spent = 0;

  constructor(private readonly client: Client) {}

  /** Whether the client may go on now; otherwise its `onTurn` is called later. */
  mayGoOn(): boolean {
    if (!this.isOver && this.spent >= TURN_BYTES) {
      this.isOver = true;
      enqueue(this);
    }
    return !this.isOver;
  }

  /** Count a request, and whatever else makes it costly, in bytes. */
  spend(bytes: number): void {
    const before = this.spent;
    this.spent += WORK_BYTES + bytes;
    // a client that waits for each reply never comes to the end of its turn
    if (before < TURN_BYTES / 2 && this.spent >= TURN_BYTES / 2)
      setImmediate(renew, this);
  }

  renew(): void {
    if (!this.isOver) this.spent = 0;
  }

  /** @returns how much the client did, in bytes */
  begin(): number {
    this.isOver = false;
    this.spent = 0;
    this.client.onTurn();
    return this.spent;
  }
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

function serve(): void {
  isScheduled = false;
  let spent = 0;
  try {
    for (const turn of [...waiting]) {
      if (spent >= ALL_BYTES) break;
      waiting.delete(turn);
      spent += turn.begin();
    }
  } finally {
    schedule();
  }
}
