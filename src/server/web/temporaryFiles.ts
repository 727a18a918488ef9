/** The temporary files of one request: written while they arrive, removed when it ends. */
import * as fs from "node:fs";
import { Writable } from "node:stream";
import { log } from "../../log/log";
import type { UploadDisk } from "./uploadDisk";

const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW = 0, O_WRONLY } = fs.constants;
const CREATE_FLAGS = O_WRONLY | O_CREAT | O_EXCL;
const APPEND_FLAGS = O_WRONLY | O_APPEND | O_NOFOLLOW;
const OWNER_ONLY = 0o600;

/** The limit of unwritten bytes of a file in memory. */
const BUFFERED_BYTES = 64 * 1024;

export class TemporaryFiles {
  /** Bytes that were reserved for each path. */
  private readonly sizes = new Map<string, number>();
  private readonly streams = new Map<string, Writable>();

  constructor(private readonly disk: UploadDisk) {}

  /** The number of started files. */
  get count(): number {
    return this.sizes.size;
  }

  /**
   * A stream into a new file; its error may be a BodyError. The file is registered at once, so that it is removed in
   * any case.
   */
  create(file: string): Writable {
    this.sizes.set(file, 0);
    this.disk.begin(file);
    const stream = new FileStream((chunks, isNew) =>
      this.write(file, chunks, isNew),
    );
    this.streams.set(file, stream);
    return stream;
  }

  /** Remove all files that were not moved. Repeating it is harmless: a late write may have recreated one. */
  remove(): void {
    for (const [file, bytes] of this.sizes) {
      this.sizes.set(file, 0);
      fs.unlink(file, (error) => {
        this.disk.release(bytes);
        if (this.streams.get(file)!.closed) this.disk.forget(file); // otherwise a write may recreate it
        if (error && error.code !== "ENOENT")
          log(`cannot remove uploaded file ${file}`, "error", {
            error: String(error),
          });
      });
    }
  }

  private async write(
    file: string,
    bytes: Buffer,
    isNew: boolean,
  ): Promise<void> {
    this.disk.reserve(bytes.length);
    this.sizes.set(file, (this.sizes.get(file) ?? 0) + bytes.length);
    await this.disk.write(() => append(file, bytes, isNew));
  }
}

type Write = (bytes: Buffer, isNew: boolean) => Promise<void>;

/** Writes one chunk at a time, and is not closed during a write. */
class FileStream extends Writable {
  private isNew = true;
  private current: Promise<void> | undefined;

  constructor(private readonly save: Write) {
    super({ highWaterMark: BUFFERED_BYTES });
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.start(chunk, done);
  }

  override _writev(
    chunks: { chunk: Buffer }[],
    done: (error?: Error | null) => void,
  ): void {
    this.start(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  /** Also creates empty files. */
  override _final(done: (error?: Error | null) => void): void {
    if (this.isNew) this.start(Buffer.alloc(0), done);
    else done();
  }

  override _destroy(
    error: Error | null,
    done: (error?: Error | null) => void,
  ): void {
    const close = () => done(error);
    if (this.current) this.current.then(close, close);
    else close();
  }

  private start(bytes: Buffer, done: (error?: Error | null) => void): void {
    const { isNew } = this;
    this.isNew = false;
    this.current = this.save(bytes, isNew);
    this.current.then(
      () => done(),
      (error: Error) => done(error),
    );
  }
}

/** No descriptor stays open between two writes, so their number is that of concurrent writes. */
async function append(
  file: string,
  bytes: Buffer,
  isNew: boolean,
): Promise<void> {
  const flags = isNew ? CREATE_FLAGS : APPEND_FLAGS;
  const handle = await fs.promises.open(file, flags, OWNER_ONLY);
  try {
    await handle.writeFile(bytes);
  } finally {
    await handle.close();
  }
}
