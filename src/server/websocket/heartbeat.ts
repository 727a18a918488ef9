/** Pings all clients, and detects dead ones. */
import { pingText, textFrame } from "./protocol";
import type { Spark } from "./spark";
import { timerMs } from "../../utils/timers";

/** Pinging ten thousand at once would block the process for half a second. */
const SLICE = 500;

/** A round that is later than this many intervals indicates a pause of this process, not of its clients. */
const LATE = 1.2;

interface Round {
  text: string;
  frame: Buffer;
  /** No client is disconnected in a late round, after a pause of this process. */
  isLate: boolean;
}

export class Heartbeat {
  private lastRound = 0;
  private timer: NodeJS.Timeout | undefined;

  /**
   * @param sparks all clients; read in each round
   * @param onDead called for a client that was pinged in the last round and has sent nothing since
   */
  constructor(
    private readonly sparks: ReadonlySet<Spark>,
    private readonly onDead: (spark: Spark) => void,
  ) {}

  /** @param intervalMs 0: no pings */
  start(intervalMs: number): void {
    this.stop();
    if (!(intervalMs > 0)) return;
    this.lastRound = performance.now();
    // received data is read between the timer and the immediate, so a message that only waited for this process
    // counts
    this.timer = setInterval(
      () => setImmediate(() => this.round(intervalMs)),
      timerMs(intervalMs),
    ).unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private round(intervalMs: number): void {
    if (!this.timer) return;
    const now = performance.now();
    const isLate = now - this.lastRound > LATE * intervalMs;
    this.lastRound = now;
    const text = pingText(Date.now());
    const frame = textFrame(text);
    this.ask([...this.sparks], 0, { text, frame, isLate });
  }

  private ask(sparks: Spark[], from: number, round: Round): void {
    const { text, frame, isLate } = round;
    const end = Math.min(from + SLICE, sparks.length);
    for (let i = from; i < end; i++) {
      const spark = sparks[i]!;
      const { bytesRead } = spark;
      if (spark.seenBytes === bytesRead && !spark.isBehind && !isLate) {
        this.onDead(spark);
        continue;
      }
      spark.seenBytes = bytesRead;
      if (spark.isCompressed) spark.writeText(text);
      else spark.writeFrame(frame);
    }
    if (end < sparks.length && this.timer)
      setImmediate(() => this.ask(sparks, end, round));
  }
}
