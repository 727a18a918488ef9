/** The two places that log lines are written to: stdout and files. */
import * as fs from "node:fs";
import * as path from "node:path";
import { toError } from "../errors";

/** The stream of console lines: stdout, or stderr while a command writes data to stdout. */
let stream: NodeJS.WriteStream = process.stdout;

const GUARDED = Symbol.for("actionhero.log.guarded");
for (const output of [process.stdout, process.stderr]) guard(output);

/**
 * An error of stdout or stderr (a full disk, a closed reader) must not stop a server: the writer gets it by callback. A
 * command exits when its reader is gone. Each stream gets one listener, even if several copies of this module are
 * loaded.
 */
function guard(output: NodeJS.WriteStream & { [GUARDED]?: true }): void {
  if (output[GUARDED]) return;
  output[GUARDED] = true;
  output.on("error", ({ code }: NodeJS.ErrnoException) => {
    if (isCommand && code === "EPIPE") process.exit();
  });
}

/** Whether this process runs a command of the command line, not a server. */
let isCommand = false;

/** From now on, the lines of this process are those of a command. */
export function beCommand(): void {
  isCommand = true;
}

export function isCommandRunning(): boolean {
  return isCommand;
}

/** Whether that stream gets colours; looked up once, since every line asks. */
let colored: boolean | undefined;

/** From now on, lines for people go to stderr, so that a program can read what this process prints. */
export function keepStdoutForData(): void {
  stream = process.stderr;
  colored = undefined;
}

/** Whether console lines go to a terminal that supports colours. */
export function consoleHasColors(): boolean {
  colored ??= wantsColors(Boolean(stream.isTTY), process.env);
  return colored;
}

/**
 * FORCE_COLOR takes precedence (`0` and `false` disable colours), then NO_COLOR, then whether the stream is a terminal.
 */
export function wantsColors(
  isTerminal: boolean,
  { FORCE_COLOR, NO_COLOR, TERM }: NodeJS.ProcessEnv,
): boolean {
  if (FORCE_COLOR !== undefined) return !["0", "false"].includes(FORCE_COLOR);
  return isTerminal && !NO_COLOR && TERM !== "dumb";
}

/** Callbacks of a prompt before and after log output, so that it can erase and redraw its line. */
interface Surroundings {
  before(): void;
  after(): void;
}

let surroundings: Surroundings | undefined;

/** @returns ends it */
export function aroundConsole(theirs: Surroundings): () => void {
  surroundings = theirs;
  return () => (surroundings = undefined);
}

/** Writes to this process' stdout, or to stderr after `keepStdoutForData`. */
export const consoleSink: OutputSink = {
  write: (text) =>
    new Promise((resolve, reject) => {
      surroundings?.before();
      // an error destroys the stream but not its descriptor, which may work again, for example when the disk has space
      const end = (error?: Error | null) => (error ? reject(error) : resolve());
      if (stream.destroyed) end(writeFully(descriptor(), text));
      else stream.write(text, end);
      surroundings?.after();
    }),
  writeSync: (text) => void writeFully(descriptor(), text),
};

/**
 * Appends to a file, whose folder is made when needed. The file is opened anew for each (collected) write, so that
 * log rotation needs no signal and no descriptor stays open.
 */
export function fileSink(filename: string): OutputSink {
  return {
    async write(text) {
      try {
        await fs.promises.appendFile(filename, text);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
        await fs.promises.mkdir(path.dirname(filename), { recursive: true });
        await fs.promises.appendFile(filename, text);
      }
    },
    writeSync(text) {
      try {
        fs.mkdirSync(path.dirname(filename), { recursive: true });
        fs.appendFileSync(filename, text);
      } catch (error) {
        writeFully(2, `cannot write log: ${String(error)}\n`);
      }
    },
  };
}

function descriptor(): number {
  return stream === process.stderr ? 2 : 1;
}

/** How often a full pipe is tried again before the rest is given up. */
const MAX_ATTEMPTS = 1000;

/**
 * Write all of `text` to a descriptor that may be a pipe in non-blocking mode.
 * @returns why not all of it could be written
 */
function writeFully(file: number, text: string): Error | undefined {
  const bytes = Buffer.from(text);
  let written = 0;
  for (let attempt = 0; written < bytes.length; attempt++) {
    try {
      written += fs.writeSync(file, bytes, written);
      attempt = 0;
    } catch (error) {
      const full = (error as NodeJS.ErrnoException).code === "EAGAIN";
      if (!full || attempt >= MAX_ATTEMPTS) return toError(error); // the reader is gone
    }
  }
  return undefined;
}

// --- Collects log lines and writes them in few, asynchronous writes; the rest is written when the process exits.

/** The destination of the text. */
interface OutputSink {
  /** Write `text`; resolves when it has been written. */
  write(text: string): Promise<void>;
  /** Write `text` before returning; used when the process exits. */
  writeSync(text: string): void;
}

/** How long lines are collected before they are written, in ms. */
const COLLECT_MS = 10;
/**
 * How long lines are collected while lines keep coming, in ms: opening, writing and closing a file costs as much as making a dozen lines.
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

  /** In the form of the other lines. */
  private lineOfDropped(): string {
    const message = `${this.dropped} log lines dropped`;
    if (!this.waiting.startsWith("{")) return message;
    const timestamp = new Date().toISOString();
    return JSON.stringify({ level: "warning", message, timestamp });
  }

  private takeWaiting(): string {
    let text = this.waiting;
    if (this.dropped > 0) text += `${this.lineOfDropped()}\n`;
    this.waiting = "";
    this.dropped = 0;
    return text;
  }
}
