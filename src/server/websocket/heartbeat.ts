/** Asks all clients for signs of life, and finds those that give none. */
import { textFrame } from "./frame";
import { pingText } from "./protocol";
import type { Spark } from "./spark";

/** Asking ten thousand at once would keep the process from everything else for half a second. */
const SLICE = 500;

export class Heartbeat {
  private timer: NodeJS.Timeout | undefined;

  /**
   * @param sparks all clients; read in each round
   * @param onDead called for a client that was asked in the last round and has not been heard of since
   */
  constructor(
    private readonly sparks: ReadonlySet<Spark>,
    private readonly onDead: (spark: Spark) => void,
  ) {}

  /** @param intervalMs 0: never ask */
  start(intervalMs: number): void {
    this.stop();
    if (!(intervalMs > 0)) return;
    this.timer = setInterval(() => this.round(), intervalMs).unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private round(): void {
    const ping = pingText(Date.now());
    this.ask([...this.sparks], 0, ping, textFrame(ping));
  }

  private ask(sparks: Spark[], from: number, text: string, frame: Buffer) {
    const end = Math.min(from + SLICE, sparks.length);
    for (let i = from; i < end; i++) {
      const spark = sparks[i]!;
      const { bytesRead } = spark;
      if (spark.seenBytes === bytesRead && !spark.isBehind) {
        this.onDead(spark);
        continue;
      }
      spark.seenBytes = bytesRead;
      if (spark.isCompressed) spark.writeText(text);
      else spark.writeFrame(frame);
    }
    if (end < sparks.length && this.timer)
      setImmediate(() => this.ask(sparks, end, text, frame));
  }
}
