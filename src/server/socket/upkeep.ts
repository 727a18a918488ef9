/** Periodic work for clients: keep-alive messages, and closing of idle connections. */

/** The settings, in ms; 0 disables. */
export interface UpkeepTimes {
  idleTimeout: number;
  pingInterval: number;
}

export interface UpkeepClient {
  /** When it last sent something, in ms since the epoch. */
  readonly lastSeen: number;
  /** When it was last pinged. */
  lastPing: number;
  /** Whether requests are pending. */
  readonly isBusy: boolean;
  ping(now: number): void;
  leaveIdle(): void;
}

/** Maximum and minimum interval of the rounds, in ms. */
const MAX_TICK_MS = 1000;
const MIN_TICK_MS = 10;
/** Clients per batch. */
const SLICE = 500;

export class Upkeep {
  private timer?: NodeJS.Timeout;
  private reading?: NodeJS.Immediate;
  private isRunning = false;

  constructor(
    private readonly clients: () => Iterable<UpkeepClient>,
    private readonly times: () => UpkeepTimes,
  ) {}

  start(): void {
    this.isRunning = true;
    this.schedule();
  }

  stop(): void {
    this.isRunning = false;
    clearTimeout(this.timer);
    clearImmediate(this.reading);
  }

  private schedule(): void {
    if (!this.isRunning) return;
    const { idleTimeout, pingInterval } = this.times();
    // a quarter, so that no action is late by more than that
    const wanted = Math.min(idleTimeout || Infinity, pingInterval || Infinity);
    const tick = Math.max(MIN_TICK_MS, Math.min(MAX_TICK_MS, wanted / 4));
    this.timer = setTimeout(() => this.readFirst(), tick);
    this.timer.unref();
  }

  /** Received data is read before the immediate, so a message that only waited for this process still counts. */
  private readFirst(): void {
    this.reading = setImmediate(() => void this.round());
  }

  private async round(): Promise<void> {
    const { idleTimeout, pingInterval } = this.times();
    if (idleTimeout > 0 || pingInterval > 0) {
      let count = 0;
      for (const client of this.clients()) {
        visit(client, idleTimeout, pingInterval);
        if (++count % SLICE === 0)
          await new Promise((resolve) => setImmediate(resolve));
        if (!this.isRunning) return;
      }
    }
    this.schedule();
  }
}

function visit(
  client: UpkeepClient,
  idleTimeout: number,
  pingInterval: number,
): void {
  const now = performance.now();
  if (
    idleTimeout > 0 &&
    !client.isBusy &&
    now - client.lastSeen >= idleTimeout
  ) {
    client.leaveIdle();
    return;
  }
  if (pingInterval > 0 && now - client.lastPing >= pingInterval) {
    client.lastPing = now;
    client.ping(Date.now());
  }
}
