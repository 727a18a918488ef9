/** The output to one TCP client: lines, files between them, and the last line. */
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { settings } from "../../config/settings";
import { Outbox } from "../outbox";
import { ALL_EXCEED } from "../unread";
import type { SocketClient } from "./client";

/** How long a client may read nothing while its last bytes are sent, in ms. */
const END_TIMEOUT_MS = 10_000;
/** How long a client may take to close its side after the goodbye, in ms. */
export const LINGER_MS = 1000;

export class Output extends Outbox<string> {
  private isEnded = false;
  private file?: Promise<void>;

  constructor(
    socket: Socket,
    private readonly client: SocketClient,
  ) {
    super(socket);
  }

  /** The goodbye has been sent; no further output is possible. */
  get hasEnded(): boolean {
    return this.isEnded;
  }

  get isSendingFile(): boolean {
    return this.file !== undefined;
  }

  protected override get isHeld(): boolean {
    return this.isSendingFile;
  }

  override send(text: string): void {
    if (!this.isEnded && !this.socket.destroyed) super.send(text);
  }

  /** Send raw bytes. */
  async sendBytes(bytes: Buffer): Promise<void> {
    while (this.file) await this.file;
    if (this.isEnded || this.socket.destroyed) return;
    this.flush();
    if (bytes.length > 0) this.write(bytes);
  }

  /**
   * Send the bytes of a stream; texts wait for its end.
   * @throws the error of the stream; the client is disconnected, because it cannot know which bytes are missing
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

  /** Send a last text and close; a client that does not close its side in time is disconnected. */
  end(text: string): void {
    if (this.isEnded) return;
    const { socket } = this;
    const queued = this.take() ?? "";
    const last = this.file ? "" : queued + text;
    this.isEnded = true;
    if (socket.destroyed) return;
    const linger = () => {
      socket.resume(); // closing with unread bytes would reset the connection and discard sent bytes
      const timer = setTimeout(() => socket.destroy(), LINGER_MS);
      timer.unref();
      socket.once("close", () => clearTimeout(timer));
    };
    socket.pause();
    this.watchProgress(Math.min(this.timeout() || Infinity, END_TIMEOUT_MS));
    socket.once("finish", linger);
    socket.end(last);
  }

  protected override join(texts: string[]): string {
    return texts.join("");
  }

  protected override limit(): number {
    return settings().socket.maxBufferedBytes;
  }

  protected override timeout(): number {
    return settings().socket.sendTimeout;
  }

  protected override onBehind(isBehind: boolean): void {
    if (!this.isEnded) this.client.onBlocked(isBehind);
  }

  protected override onOverflow(bytes: number): void {
    this.cut(`${bytes} bytes wait for it`);
  }

  protected override onSlowest(bytes: number): void {
    this.cut(`${bytes} bytes wait for it, and ${ALL_EXCEED}`);
  }

  protected override onStalled(): void {
    this.cut(`it read nothing for ${this.socket.timeout} ms`);
  }

  private cut(reason: string): void {
    this.isEnded = true;
    this.discard();
    this.socket.destroy();
    this.client.onCut(reason);
  }

  private pump(source: Readable): Promise<void> {
    const { socket } = this;
    return new Promise((resolve, reject) => {
      const onDrain = () => {
        if (!this.isBehind) socket.setTimeout(0);
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
        this.watchProgress(this.timeout());
      });
      source.once("end", () => settle());
      source.once("error", settle);
    });
  }
}

function forget(): void {
  // the next turn starts however the previous one ended
}
