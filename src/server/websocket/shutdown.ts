/** Ends all clients, after their pending responses. */
import type { Spark } from "./spark";
import type { WebSocketServer } from "./webSocketServer";

/** How long a client without unread data may take to confirm the close, in ms. */
const GOODBYE_MS = 1_000;
const CHECK_MS = 100;

export class Shutdown {
  private readonly endedAt = new Map<Spark, number>();
  private finish: () => void = () => undefined;
  private cut = 0;

  constructor(private readonly host: WebSocketServer) {}

  /**
   * Resolves when all clients have disconnected.
   * @returns the number of clients that were disconnected at the deadline
   */
  async run(timeoutMs: number): Promise<number> {
    const deadline = performance.now() + timeoutMs;
    const finished = new Promise<void>((resolve) => (this.finish = resolve));
    for (const spark of this.host.sparks) this.look(spark);
    if (this.host.sparks.size === 0) this.finish();
    const timer = setInterval(() => this.drop(deadline), CHECK_MS);
    await finished;
    clearInterval(timer);
    return this.cut;
  }

  /** Call it when a client may have become idle, and when it has disconnected. */
  look(spark: Spark): void {
    if (this.host.sparks.size === 0) return this.finish();
    if (this.endedAt.has(spark) || this.host.isBusy(spark)) return;
    this.endedAt.set(spark, performance.now());
    this.host.end(spark);
  }

  private drop(deadline: number): void {
    const now = performance.now();
    for (const spark of this.host.sparks) {
      this.look(spark);
      const endedAt = this.endedAt.get(spark);
      const isSilent =
        endedAt !== undefined &&
        now - endedAt >= GOODBYE_MS &&
        spark.bufferedBytes === 0;
      if (now >= deadline) this.cut++;
      else if (!isSilent) continue;
      spark.terminate();
    }
  }
}
