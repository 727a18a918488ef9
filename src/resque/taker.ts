/** Gathers what the workers of a process report and want, and sends it in one call at a time. */
import { toError } from "../errors";
import type { Seat } from "./seat";
import type { Session } from "./session";
import { NO_OUTCOME, takeBatch, type Outcome, type Taken } from "./steps/take";
import { WakeUps, type Waiting } from "./wakeUps";

const MAX_BATCH = 64;
const RETRY_MS = 100;
/** Producers of other kinds wake nobody: a look at the queues is never further off than this. */
const IDLE_POLL_MS = 1000;
/** The embedded engine answers without a pause for anything else; after so many calls there is one. */
const CALLS_PER_TURN = 16;

interface Request {
  seat: Seat;
  outcome: Outcome;
  resolve: (taken: Taken | undefined) => void;
}

export class Taker {
  private pending: Request[] = [];
  private readonly idle = new Map<Seat, Request>();
  /** The idle ones are to take part in the next call. */
  private isHungry = false;
  private isCalling = false;
  private isPlanned = false;
  private number = 0;
  private calls = 0;
  private waiting?: Waiting;
  private closed = false;
  private readonly wakeUps: WakeUps;

  constructor(private readonly session: Session) {
    this.wakeUps = new WakeUps(session.connection);
  }

  next(seat: Seat, outcome: Outcome): Promise<Taken | undefined> {
    return new Promise((resolve) => {
      this.pending.push({ seat, outcome, resolve });
      this.plan();
    });
  }

  dismiss(seat: Seat): void {
    const request = this.idle.get(seat);
    if (!request) return;
    this.idle.delete(seat);
    request.resolve(undefined);
    if (this.idle.size === 0) this.waiting?.stop();
  }

  /** Calls are counted within a registration. */
  restart(): void {
    this.number = 0;
  }

  close(): void {
    this.closed = true;
    this.waiting?.stop();
    this.wakeUps.close();
    const requests = [...this.pending.splice(0), ...this.idle.values()];
    this.idle.clear();
    for (const { resolve } of requests) resolve(undefined);
  }

  /** Call at once when no other worker can join; else when those that end in this turn have joined. */
  private plan(): void {
    if (this.isCalling || this.isPlanned || this.closed) return;
    const busy = this.session.size - this.pending.length - this.idle.size;
    if (busy <= 0) return void this.call();
    this.isPlanned = true;
    setImmediate(() => {
      this.isPlanned = false;
      void this.call();
    });
  }

  private async call(): Promise<void> {
    if (this.isCalling || this.closed) return;
    const batch = this.gather();
    if (batch.length === 0) return;
    this.isCalling = true;
    this.wakeUps.look();
    const taken = await this.send(batch);
    // the embedded engine would let nothing else run
    if (this.session.connection.embedded && ++this.calls % CALLS_PER_TURN === 0)
      await new Promise((resolve) => setImmediate(resolve));
    this.isCalling = false;
    this.deliver(batch, taken ?? []);
    if (this.pending.length > 0 || this.isHungry) this.plan();
    else if (this.idle.size > 0) void this.rest();
  }

  private gather(): Request[] {
    const batch = this.pending.splice(0, MAX_BATCH);
    if (!this.isHungry) return batch;
    this.isHungry = false;
    for (const [seat, request] of this.idle) {
      if (batch.length === MAX_BATCH) break;
      this.idle.delete(seat);
      batch.push(request);
    }
    return batch;
  }

  /** Until redis answers: a repeated call changes nothing. */
  private async send(
    batch: Request[],
  ): Promise<(Taken | undefined)[] | undefined> {
    const { session } = this;
    let id = "";
    while (!this.closed) {
      try {
        if (!session.isSeated) await session.ensureSeats();
        if (id !== session.id) {
          id = session.id;
          this.number++;
          this.dropStale(batch, id);
        }
        const reply = await takeBatch(session.connection, {
          process: session.processKey,
          number: this.number,
          queues: session.queues,
          slots: batch.map(({ seat, outcome }) => ({
            slot: seat.slot,
            outcome,
            want: !seat.isLeaving,
          })),
        });
        if (reply !== "fenced") return reply;
        await session.refence(id);
      } catch (error) {
        session.report(toError(error));
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    return undefined;
  }

  /** Jobs taken under another registration were given back: what came of them counts for nothing. */
  private dropStale(batch: Request[], id: string): void {
    for (const request of batch) {
      const { seat, outcome } = request;
      if (outcome === NO_OUTCOME || seat.takenIn === id) continue;
      request.outcome = NO_OUTCOME;
      this.session.emit("fenced", seat);
    }
  }

  private deliver(batch: Request[], taken: (Taken | undefined)[]): void {
    batch.forEach((request, index) => {
      const { seat, resolve } = request;
      request.outcome = NO_OUTCOME;
      seat.takenIn = this.session.id;
      if (taken[index] || seat.isLeaving || this.closed)
        return resolve(taken[index]);
      this.idle.set(seat, request);
      seat.onIdle?.();
    });
  }

  private async rest(): Promise<void> {
    if (this.waiting || this.closed) return;
    const { session } = this;
    const { connection } = session;
    const anyKey = connection.key("ah:wake-any");
    const keys = session.queues.map((queue) =>
      connection.key("ah:wake", queue),
    );
    if (session.any) keys.push(anyKey);
    const ms = Math.min(session.options.timeout ?? 5000, IDLE_POLL_MS);
    this.waiting = this.wakeUps.wait(keys, ms);
    const key = await this.waiting.done;
    this.waiting = undefined;
    if (this.closed || this.idle.size === 0) return;
    if (key === undefined || key === anyKey)
      await session.checkQueues().catch((error) => session.report(error));
    this.isHungry = true;
    this.plan();
  }
}
