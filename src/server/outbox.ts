/** The output of a persistent client: one write per tick, with limits for slow consumers. */
import type { Socket } from "node:net";
import {
  FREE_BYTES,
  SlowClients,
  STALLED_READER_MS,
  type SlowClient,
} from "./heldBytes";
import { settings } from "../config/settings";
import { endOutput, noteOutput } from "./turn";

/** While more bytes than this wait for a client, its next requests are not read. */
export const HIGH_WATER_BYTES = 1024 * 1024;

/** The interval of checks of a slow consumer, in ms: a compressor before the socket does not report its completion. */
const CHECK_MS = 100;

export abstract class Outbox<Chunk extends string | Buffer> {
  /** More than the high-water mark waits; until it does not, the socket is watched for progress. */
  isBehind = false;
  private chunks: Chunk[] = [];
  private queuedBytes = 0;
  private isWatched = false;
  /** Undefined until the client falls behind for the first time. */
  private unread: UnreadShare | undefined = undefined;

  constructor(protected readonly socket: Socket) {}

  /** One chunk of several. */
  protected abstract join(chunks: Chunk[], bytes: number): Chunk;
  /**
   * The maximum of waiting bytes; 0 for no limit.
   * @param waiting the number of unsent bytes
   */
  protected abstract limit(waiting: number): number;
  /** How long a slow consumer may read nothing, in ms; 0 for no limit. */
  protected abstract timeout(): number;
  /** Pauses (true) or resumes reading of the client's requests. */
  protected abstract onBehind(isBehind: boolean): void;
  /** The limit was exceeded, and queued output was discarded: disconnect the client. */
  protected abstract onOverflow(bytes: number): void;
  /** All clients together have too much to read, and this one is the slowest: disconnect it, and free the memory. */
  protected abstract onSlowest(bytes: number): void;
  /** The client has read nothing for too long: disconnect it. */
  protected abstract onStalled(): void;

  /** Whether something can be written. */
  protected get isOpen(): boolean {
    return this.socket.writable;
  }

  /** Whether queued output must wait for another write. */
  protected get isCorked(): boolean {
    return false;
  }

  /** Bytes that were written, but not yet passed to the operating system. */
  protected get unsentBytes(): number {
    return this.socket.writableLength;
  }

  /** Bytes that were queued or written, but not yet passed to the operating system. */
  get bufferedBytes(): number {
    return this.queuedBytes + this.unsentBytes;
  }

  /** Send a chunk, together with all others of this tick. */
  send(chunk: Chunk): void {
    if (!this.hasRoom()) return;
    // after the microtasks of this tick: all responses of one tick are one write, which is what costs
    if (this.chunks.length === 0) process.nextTick(flush, this);
    this.chunks.push(chunk);
    this.queuedBytes += chunk.length;
  }

  /** Whether more may be sent; what waits already counts, since a single response may be longer than the limit. */
  hasRoom(): boolean {
    const waiting = this.bufferedBytes;
    const limit = this.limit(waiting);
    if (!(limit > 0 && waiting > limit)) return true;
    this.discard();
    this.onOverflow(waiting);
    return false;
  }

  /** Write what is queued. */
  flush(): void {
    if (this.isCorked) return;
    const data = this.take();
    if (data !== undefined && this.isOpen) this.write(data);
  }

  /** Forget what is queued. */
  discard(): void {
    this.chunks = [];
    this.queuedBytes = 0;
  }

  /** Re-check whether the client is a slow consumer, after a write that bypassed this outbox. */
  noteWrite(): void {
    if (this.bufferedBytes > FREE_BYTES) this.countUnread();
    if (!this.isBehind && this.unsentBytes > HIGH_WATER_BYTES)
      void this.waitUntilDrained();
  }

  /** Resolves when the waiting bytes are below the high-water mark, or the client has disconnected. */
  async drained(): Promise<void> {
    const { socket } = this;
    while (this.isOpen && this.bufferedBytes > HIGH_WATER_BYTES) {
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          socket.off("drain", done);
          socket.off("close", done);
          resolve();
        };
        socket.on("drain", done);
        socket.on("close", done);
        const timer = setTimeout(done, CHECK_MS).unref();
      });
    }
  }

  /** Take the queued output, which the caller sends. */
  protected take(): Chunk | undefined {
    const { chunks, queuedBytes } = this;
    if (chunks.length === 0) return undefined;
    this.discard();
    return chunks.length === 1 ? chunks[0] : this.join(chunks, queuedBytes);
  }

  protected write(data: string | Buffer): void {
    noteOutput(data.length);
    if (!this.socket.write(data)) this.noteWrite();
  }

  /**
   * Disconnect the client after `timeoutMs` without progress; 0 disables this. Node restarts a socket's timeout on each
   * write that the system accepts.
   */
  protected watchProgress(timeoutMs: number): void {
    const { socket } = this;
    socket.setTimeout(timeoutMs);
    if (this.isWatched) return;
    this.isWatched = true;
    socket.on("timeout", () => {
      if (this.unsentBytes > 0) this.onStalled();
    });
  }

  private countUnread(): void {
    this.unread ??= this.watchUnread();
    this.unread.update(this.bufferedBytes);
  }

  private watchUnread(): UnreadShare {
    const { socket } = this;
    const share = new UnreadShare(socket, (bytes) => {
      this.discard();
      this.onSlowest(bytes);
    });
    socket.on("drain", () => share.update(this.bufferedBytes));
    socket.once("close", () => share.release());
    return share;
  }

  private async waitUntilDrained(): Promise<void> {
    this.isBehind = true;
    this.onBehind(true);
    this.watchProgress(this.timeout());
    await this.drained();
    // keep watching what is not sent yet
    if (this.unsentBytes === 0) this.socket.setTimeout(0);
    this.isBehind = false;
    this.onBehind(false);
  }
}

function flush(outbox: Outbox<string | Buffer>): void {
  outbox.flush();
}

// --- Unread output of all clients together. It stays in memory for as long as clients do not read.

/** For log lines: why a client that exceeds no limit of its own is disconnected. */
export const ALL_EXCEED = "those of all clients exceed general.maxUnreadBytes";

/** The waiting output of all clients. */
class UnreadBytes {
  private readonly slow = new SlowClients(STALLED_READER_MS);
  private total = 0;

  get count(): number {
    return this.total;
  }

  /** @param before the counted bytes of this share. @returns its counted bytes from now on */
  set(share: UnreadShare, before: number, bytes: number): number {
    const limit = settings().general.maxUnreadBytes;
    // a single response may exceed the limit, but must not disconnect all other clients
    const now = bytes > FREE_BYTES ? Math.min(bytes, limit / 2) : 0;
    this.total += now - before;
    if (now === 0) this.slow.delete(share);
    else if (before === 0) this.slow.add(share);
    return now;
  }

  disconnectSlowest(): void {
    const limit = settings().general.maxUnreadBytes;
    while (this.total > limit) this.slow.slowest(limit)!.disconnect();
  }
}

const unreadBytes = new UnreadBytes();

/** How much output waits for all clients; that of clients with at most `FREE_BYTES` does not count. */
export function totalUnreadBytes(): number {
  return unreadBytes.count;
}

/** A socket, as far as its client's progress shows. */
export type Unread = Pick<Socket, "remoteAddress"> & {
  /**
   * Undefined once it is closed. Node has no public method for this: `bytesWritten` includes all that was written, and
   * `writableLength` changes only when all of a write is done. Its own timeouts of sockets use the same.
   */
  _handle?: { bytesWritten: number; writeQueueSize: number } | null;
};

/** The output that waits for one client. */
export class UnreadShare implements SlowClient {
  private bytes = 0;
  private counted = 0;
  private isReleased = false;

  /** @param onLimit disconnects the client: all clients together exceed `general.maxUnreadBytes`, and this one is the slowest */
  constructor(
    private readonly socket: Unread,
    private readonly onLimit: (bytes: number) => void,
  ) {}

  /** How many bytes wait. */
  get size(): number {
    return this.bytes;
  }

  get address(): string | undefined {
    return this.socket.remoteAddress;
  }

  /** How many bytes the system has taken, which takes no more than it sends. */
  progress(): number {
    const { _handle: handle } = this.socket;
    return handle ? handle.bytesWritten - handle.writeQueueSize : 0;
  }

  /** @param bytes how many wait now */
  update(bytes: number): void {
    if (this.isReleased) return;
    this.bytes = bytes;
    const before = this.counted;
    this.counted = unreadBytes.set(this, before, bytes);
    if (this.counted > before) unreadBytes.disconnectSlowest();
  }

  /** @param bytes how many more wait; negative: fewer */
  add(bytes: number): void {
    this.update(this.bytes + bytes);
  }

  /** The client has disconnected. */
  release(): void {
    this.update(0);
    this.isReleased = true;
  }

  disconnect(): void {
    const { bytes } = this;
    this.release();
    endOutput();
    this.onLimit(bytes);
  }
}
