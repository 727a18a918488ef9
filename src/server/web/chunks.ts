/**
 * Joins the small chunks of a body: each takes memory and time of its own in every queue that it passes, and clients choose
 * how small they are.
 */
import type { IncomingMessage } from "node:http";
import { Transform, type TransformCallback } from "node:stream";
import { BodyError, RequestAborted } from "./bodyRefusal";

/** Chunks from this size on are not copied, in bytes. */
const LARGE_BYTES = 4 * 1024;

/** The sizes of the blocks that small chunks are copied to, in bytes: each is twice as large as the one before. */
const FIRST_BLOCK_BYTES = 1024;
const MAX_BLOCK_BYTES = 16 * 1024;

/** A body of more chunks than this must have at least MIN_AVERAGE_BYTES in each of them, on average. */
const FREE_CHUNKS = 10_000;
const MIN_AVERAGE_BYTES = 16;

/** Counts the chunks of a body. */
class ChunkCount {
  /** The error of the request when there are too many small ones. */
  refusal: BodyError | undefined = undefined;
  private chunks = 0;
  private bytes = 0;

  add(bytes: number): BodyError | undefined {
    this.bytes += bytes;
    if (
      ++this.chunks > FREE_CHUNKS &&
      this.bytes < this.chunks * MIN_AVERAGE_BYTES
    )
      this.refusal ??= BodyError.fragmented(MIN_AVERAGE_BYTES);
    return this.refusal;
  }
}

const COUNT = Symbol("chunk count");

type Counted = IncomingMessage & { [COUNT]?: ChunkCount };

/** Counts the chunks that a reader gets, unless `joinUnread` does. @returns the error of the request, if there is one */
export function chunkCounterOf(
  req: Counted,
): (bytes: number) => BodyError | undefined {
  const counted = req[COUNT];
  if (counted) return () => counted.refusal;
  const count = new ChunkCount();
  return (bytes) => count.add(bytes);
}

/** A block that small chunks are copied to. */
class Block {
  length = 0;
  private bytes: Buffer | undefined;
  private size = FIRST_BLOCK_BYTES;

  hasRoom(length: number): boolean {
    return !this.bytes || this.length + length <= this.bytes.length;
  }

  add(chunk: Buffer): void {
    this.bytes ??= Buffer.allocUnsafe(Math.max(this.size, chunk.length));
    this.length += chunk.copy(this.bytes, this.length);
  }

  /** The copied bytes; the next ones begin a new block. */
  take(): Buffer | undefined {
    const taken = this.bytes?.subarray(0, this.length);
    if (taken) this.size = Math.min(this.size * 2, MAX_BLOCK_BYTES);
    this.bytes = undefined;
    this.length = 0;
    return taken;
  }
}

/**
 * Join the small chunks of a request before node stores them: it stores 16 or 64 KiB until somebody reads, and takes a
 * hundred bytes for a chunk of one. To be called before its body is parsed.
 */
export function joinUnread(req: Counted): void {
  if (req.headers["transfer-encoding"] === undefined) return;
  const count = (req[COUNT] = new ChunkCount());
  const block = new Block();
  const push = req.push.bind(req);
  let isScheduled = false;
  const flush = () => {
    isScheduled = false;
    const bytes = block.take();
    if (bytes && !req.destroyed) push(bytes);
  };
  req.push = (chunk: Buffer | null) => {
    if (chunk !== null) count.add(chunk.length);
    const isSmall = chunk !== null && chunk.length < LARGE_BYTES;
    if (!isSmall || !block.hasRoom(chunk.length)) flush();
    if (!isSmall) return push(chunk);
    block.add(chunk);
    if (!isScheduled) setImmediate(flush); // ticks run between the chunks
    isScheduled = true;
    return req.readableLength + block.length < req.readableHighWaterMark;
  };
}

/** The bytes of a body in memory. */
export class StoredChunks {
  private readonly chunks: Buffer[] = [];
  private readonly block = new Block();

  add(chunk: Buffer): void {
    const isLarge = chunk.length >= LARGE_BYTES;
    if (isLarge || !this.block.hasRoom(chunk.length)) this.seal();
    if (isLarge) this.chunks.push(chunk);
    else this.block.add(chunk);
  }

  /** All bytes; nothing is to be added later. */
  take(): Buffer {
    this.seal();
    return this.chunks.length === 1
      ? this.chunks[0]!
      : Buffer.concat(this.chunks);
  }

  private seal(): void {
    const bytes = this.block.take();
    if (bytes) this.chunks.push(bytes);
  }
}

/** Passes large chunks on at once, and small ones together, at the end of the turn of the event loop. */
class ChunkJoiner extends Transform {
  private readonly block = new Block();
  private scheduled: NodeJS.Immediate | undefined;

  /** @param count returns an error when there are too many small chunks */
  constructor(private readonly count: ReturnType<typeof chunkCounterOf>) {
    super();
  }

  override _transform(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: TransformCallback,
  ): void {
    const refusal = this.count(chunk.length);
    if (refusal) return done(refusal);
    const isLarge = chunk.length >= LARGE_BYTES;
    if (isLarge || !this.block.hasRoom(chunk.length)) this.pass();
    if (isLarge) return done(null, chunk);
    this.block.add(chunk);
    this.scheduled ??= setImmediate(() => this.pass());
    done();
  }

  override _flush(done: TransformCallback): void {
    this.pass();
    done();
  }

  override _destroy(
    error: Error | null,
    done: (error?: Error | null) => void,
  ): void {
    clearImmediate(this.scheduled);
    done(error);
  }

  private pass(): void {
    clearImmediate(this.scheduled);
    this.scheduled = undefined;
    const bytes = this.block.take();
    if (bytes) this.push(bytes);
  }
}

/**
 * The body of a request in joined chunks. Destroying the stream leaves the request readable. An error of a stream without
 * a reader is ignored.
 */
export function joined(req: IncomingMessage): ChunkJoiner {
  const joiner = new ChunkJoiner(chunkCounterOf(req));
  joiner.on("error", () => undefined);
  req.once("close", () => {
    if (!req.complete) joiner.destroy(new RequestAborted());
  });
  return req.pipe(joiner);
}
