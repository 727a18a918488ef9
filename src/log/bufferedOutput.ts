/** Collects log lines and writes them in few, asynchronous writes; the rest is written when the process exits. */

/** The destination of the text. */
export interface OutputSink {
  /** Write `text`; resolves when it has been written. */
  write(text: string): Promise<void>;
  /** Write `text` before returning; used when the process exits. */
  writeSync(text: string): void;
}

/** How long lines are collected before they are written, in ms. */
const COLLECT_MS = 10;
/**
 * The same while lines keep coming, in ms: opening, writing and closing a file costs as much as making a dozen lines.
 */
const BUSY_COLLECT_MS = 50;

const PENDING = Symbol.for("actionhero.log.pending");
/** Limit of text that waits for a slow destination, in characters; beyond it, lines are dropped and counted. */
const MAX_WAITING = 16 * 1024 * 1024;

/** Outputs with lines waiting. On `globalThis`, so that several copies of the package need one exit listener. */
const host = globalThis as { [PENDING]?: Set<BufferedOutput> };
const pending: Set<BufferedOutput> = (host[PENDING] ??= new Set());

function flushPending(): void {
  for (const output of pending) output.flushSync();
}

function addPending(output: BufferedOutput): void {
  if (pending.size === 0) process.once("exit", flushPending);
  pending.add(output);
}

function removePending(output: BufferedOutput): void {
  pending.delete(output);
  if (pending.size === 0) process.removeListener("exit", flushPending);
}

export class BufferedOutput {
  private waiting = "";
  private dropped = 0;
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<void> | undefined;
  /** Whether the last write failed: an outage of the destination is reported once. */
  private hasFailed = false;

  constructor(
    private readonly sink: OutputSink,
    private readonly maxWaiting = MAX_WAITING,
  ) {}

  /** Take one line, its end included. */
  push(line: string): void {
    if (this.waiting.length + line.length > this.maxWaiting) {
      this.dropped++;
      return;
    }
    if (this.waiting === "" && !this.writing) this.schedule(COLLECT_MS);
    this.waiting += line;
  }

  /** Resolves when all lines taken so far are written. */
  async flush(): Promise<void> {
    while (this.waiting !== "" || this.writing) {
      await (this.writing ?? this.writeOut());
    }
  }

  private schedule(ms: number): void {
    this.timer = setTimeout(() => void this.writeOut(), ms);
    this.timer.unref();
    addPending(this);
  }

  private writeOut(): Promise<void> {
    this.writing ??= this.writeOnce().finally(() => {
      this.writing = undefined;
      removePending(this);
      if (this.waiting !== "") this.schedule(BUSY_COLLECT_MS);
    });
    return this.writing;
  }

  private async writeOnce(): Promise<void> {
    clearTimeout(this.timer);
    try {
      await this.sink.write(this.takeWaiting());
      this.hasFailed = false;
    } catch (error) {
      // a log that cannot be written must not stop the server, but must be reported
      if (!this.hasFailed) console.error(`cannot write log: ${String(error)}`);
      this.hasFailed = true;
    }
  }

  /** Write all waiting lines synchronously, while the process exits. */
  flushSync(): void {
    clearTimeout(this.timer);
    if (this.waiting !== "") this.sink.writeSync(this.takeWaiting());
  }

  private takeWaiting(): string {
    let text = this.waiting;
    if (this.dropped > 0) text += `${this.dropped} log lines dropped\n`;
    this.waiting = "";
    this.dropped = 0;
    return text;
  }
}
