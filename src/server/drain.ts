/**
 * Ends the clients of a stopping server: idle clients at once, busy clients after their last response, all others at the
 * deadline.
 */
import type { Socket } from "node:net";
import { withGrace } from "../config/shutdown";
import type { ActionheroLogLevel } from "../log/log";

interface DrainOptions<Client> {
  /** The time for pending requests, in ms from the construction: the rest of `general.shutdownTimeout`. */
  timeoutMs: number;
  /** Resolves when the last client has disconnected. */
  gone: Promise<unknown>;
  /** The clients that are connected at the moment. */
  clients: () => Iterable<Client>;
  /** Whether a response to a client is pending. */
  isBusy: (client: Client) => boolean;
  /** End an idle client; called once for each. */
  end: (client: Client) => void;
  /**
   * Disconnect a client at once: at the deadline, or before it if the client is silent. May be called more than once per
   * client.
   * @returns whether it is counted
   */
  cut: (client: Client) => boolean;
  /** How long idle clients may still send a request, in ms (default 0). */
  idleMs?: number;
  /** Whether a client is served by another server on the same port, which drains it until `finish`. */
  isHandedOver?: (client: Client) => boolean;
  log: (message: string, level: ActionheroLogLevel) => void;
  /** Whether an ended client has received everything, so that it only has to close its side; `cut` then does it. */
  isSilent?: (client: Client) => boolean;
}

/** How long an ended client may take to read its last bytes and close its side, in ms. */
const LINGER_MS = 1_000;
const SWEEP_MS = 100;

/**
 * Destroy a socket that is still open after a while: its client may read its last bytes until then.
 * @param ms default: 1,000
 */
export function destroyAfter(socket: Socket, ms = LINGER_MS): void {
  const timer = setTimeout(() => socket.destroy(), ms).unref();
  socket.once("close", () => clearTimeout(timer));
}

export class Drain<Client> {
  private readonly timeoutMs: number;
  /** The time at which each client was ended, in ms. */
  private readonly ended = new Map<Client, number>();
  private readonly cut = new Set<Client>();
  private readonly idleUntil: number;
  private readonly deadline: number;
  /** The deadline of clients that were handed over; until `finish` they have none. */
  private handedOverDeadline = Infinity;
  private readonly timer: NodeJS.Timeout;
  private counted = 0;

  /** Starts to end the clients; the process may exit before the deadline. */
  constructor(private readonly options: DrainOptions<Client>) {
    const { timeoutMs, idleMs = 0 } = options;
    const now = performance.now();
    this.timeoutMs = timeoutMs;
    this.deadline = now + timeoutMs;
    this.idleUntil = now + idleMs;
    this.timer = setInterval(() => this.sweep(), SWEEP_MS).unref();
    for (const client of options.clients())
      if (!this.isHandedOver(client)) this.update(client);
  }

  /** End a client if it is idle. Clients are polled every 100 ms; call this when one becomes idle to end it sooner. */
  update(client: Client): void {
    const { isBusy, end } = this.options;
    const now = performance.now();
    if (now < this.idleUntil || this.ended.has(client) || isBusy(client))
      return;
    this.ended.set(client, now);
    end(client);
  }

  /**
   * Include the clients that were handed over, and wait until the last client has disconnected. Logs the number of those
   * that did not finish.
   */
  async finish(): Promise<void> {
    this.timer.ref();
    // they may receive their last bytes
    this.handedOverDeadline = performance.now() + this.timeLeft();
    this.sweep();
    await this.options.gone.finally(() => clearInterval(this.timer));
    if (this.counted > 0)
      this.options.log(
        `disconnected ${this.counted} clients that did not finish within ${this.timeoutMs} ms`,
        "warning",
      );
  }

  /** The remaining time until the end of the grace period after the deadline, in ms; at least 100. */
  timeLeft(): number {
    return withGrace(this.deadline - performance.now());
  }

  private sweep(): void {
    const now = performance.now();
    for (const client of this.options.clients()) {
      const isHandedOver = this.isHandedOver(client);
      if (isHandedOver && this.handedOverDeadline === Infinity) continue;
      if (now >= (isHandedOver ? this.handedOverDeadline : this.deadline))
        this.cutNow(client);
      else this.endOrDrop(client, now);
    }
  }

  private endOrDrop(client: Client, now: number): void {
    this.update(client);
    const endedAt = this.ended.get(client) ?? now;
    if (now - endedAt >= LINGER_MS && this.options.isSilent?.(client) === true)
      this.options.cut(client);
  }

  private cutNow(client: Client): void {
    if (this.cut.has(client)) return;
    this.cut.add(client);
    if (this.options.cut(client)) this.counted++;
  }

  private isHandedOver(client: Client): boolean {
    return this.options.isHandedOver?.(client) === true;
  }
}
