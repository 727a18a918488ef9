/** What goes to one client: the answers of a tick in one write, files in between, never more than it reads. */
import type { Socket } from "node:net";
import type { Readable } from "node:stream";

/** The settings, read when they are needed. */
export interface OutputLimits {
  /** Bytes that may wait for the client; 0 for any number. */
  maxBufferedBytes: number;
  /** How long the client may read nothing while bytes wait, in ms; 0 for ever. */
  sendTimeout: number;
}

export interface OutputOwner {
  limits(): OutputLimits;
  /** The client does not keep up: its requests are to be left unread until it does. */
  onBlocked(isBlocked: boolean): void;
  /** The client was cut. */
  onCut(reason: string): void;
}

/** So much waiting for a client stops the reading of its requests. */
const BLOCK_BYTES = 1024 * 1024;
/** How long a client that is sent its last bytes may read nothing, in ms. */
const END_TIMEOUT_MS = 10_000;
/** How long a client that was told goodbye has to close its side, in ms. */
export const LINGER_MS = 1000;

export class Output {
  private waiting = "";
  private isScheduled = false;
  private isEnded = false;
  private isBlocked = false;
  private file?: Promise<void>;

  constructor(
    private readonly socket: Socket,
    private readonly owner: OutputOwner,
  ) {}

  /** Bytes that the client has not taken. */
  get bufferedBytes(): number {
    return this.socket.writableLength + this.waiting.length;
  }

  /** Goodbye has been said; nothing can be sent any more. */
  get hasEnded(): boolean {
    return this.isEnded;
  }

  get isSendingFile(): boolean {
    return this.file !== undefined;
  }

  /** Send a text, together with all others of this tick. */
  send(text: string): void {
    if (this.isEnded || this.socket.destroyed) return;
    // what is there before counts: a single answer may be longer than the limit
    const buffered = this.bufferedBytes;
    if (buffered > 0) {
      const { maxBufferedBytes } = this.owner.limits();
      if (maxBufferedBytes > 0 && buffered > maxBufferedBytes)
        return this.cut(`${buffered} bytes wait for it`);
    }
    this.waiting = this.waiting === "" ? text : this.waiting + text;
    if (this.isScheduled) return;
    this.isScheduled = true;
    // after the microtasks of this tick: actions that end together are answered by one write
    process.nextTick(flush, this);
  }

  /** Send bytes as they are. */
  async sendBytes(bytes: Buffer): Promise<void> {
    while (this.file) await this.file;
    if (this.isEnded || this.socket.destroyed) return;
    this.flush();
    if (bytes.length > 0) this.write(bytes);
  }

  /**
   * Send a stream as it is; texts that come meanwhile wait for its end.
   * @throws the error of the stream; the client is cut, since it cannot know what is missing
   */
  async sendStream(source: Readable): Promise<void> {
    while (this.file) await this.file;
    if (this.isEnded || this.socket.destroyed) {
      source.destroy();
      return;
    }
    this.flush();
    const sent = this.pump(source);
    this.file = sent.then(forget, forget);
    try {
      await sent;
    } finally {
      this.file = undefined;
      this.flush();
    }
  }

  /** Write what waits. */
  flush(): void {
    this.isScheduled = false;
    if (this.waiting === "" || this.file) return;
    const text = this.waiting;
    this.waiting = "";
    if (!this.socket.writable) return;
    this.write(text);
  }

  /** Send a last text and close; a client that does not close its side in time is cut. */
  end(text: string): void {
    if (this.isEnded) return;
    const { socket } = this;
    const last = this.file ? "" : this.waiting + text;
    this.isEnded = true;
    this.waiting = "";
    if (socket.destroyed) return;
    const linger = () => {
      socket.resume(); // closing with unread bytes would take back what was sent
      const timer = setTimeout(() => socket.destroy(), LINGER_MS);
      timer.unref();
      socket.once("close", () => clearTimeout(timer));
    };
    socket.pause();
    const { sendTimeout } = this.owner.limits();
    this.watchProgress(Math.min(sendTimeout || Infinity, END_TIMEOUT_MS));
    socket.once("finish", linger);
    socket.end(last);
  }

  private write(data: string | Buffer): void {
    if (this.socket.write(data)) return;
    if (this.isBlocked || this.socket.writableLength < BLOCK_BYTES) return;
    this.isBlocked = true;
    this.owner.onBlocked(true);
    this.watchProgress();
    this.socket.once("drain", () => {
      this.isBlocked = false;
      this.socket.setTimeout(0);
      this.owner.onBlocked(false);
    });
  }

  /** Node's timeout of a socket starts anew whenever the client takes some bytes. */
  private watchProgress(timeoutMs = this.owner.limits().sendTimeout): void {
    const { socket } = this;
    socket.setTimeout(timeoutMs);
    if (socket.listenerCount("timeout") > 0) return;
    socket.on("timeout", () => {
      if (socket.writableLength > 0)
        this.cut(`it read nothing for ${socket.timeout} ms`);
    });
  }

  private cut(reason: string): void {
    this.isEnded = true;
    this.waiting = "";
    this.socket.destroy();
    this.owner.onCut(reason);
  }

  private pump(source: Readable): Promise<void> {
    const { socket } = this;
    return new Promise((resolve, reject) => {
      const onDrain = () => {
        if (!this.isBlocked) socket.setTimeout(0);
        source.resume();
      };
      const settle = (error?: Error) => {
        socket.off("drain", onDrain);
        socket.off("close", onClose);
        source.destroy();
        if (!error) return resolve();
        socket.destroy();
        reject(error);
      };
      const onClose = () => settle();
      socket.on("drain", onDrain);
      socket.on("close", onClose);
      source.on("data", (chunk: Buffer | string) => {
        if (!socket.writable) return settle();
        if (socket.write(chunk)) return;
        source.pause();
        this.watchProgress();
      });
      source.once("end", () => settle());
      source.once("error", settle);
    });
  }
}

function flush(output: Output): void {
  output.flush();
}

function forget(): void {
  // waiting for a turn does not care how the one before ended
}
