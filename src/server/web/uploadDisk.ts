/** Limits for all uploads of a process: bytes on disk, and concurrent writes. */
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Writable } from "node:stream";
import type { FormOptions } from "../../config/types";
import { settings } from "../../config/settings";
import { UploadedFile } from "../../input/file";
import { log } from "../../log/log";
import { isRunning } from "../../environment/env";
import { waitAtMost } from "../../utils/promises";
import {
  type Holder,
  SlowClients,
  STALLED_SENDER_MS,
  type SlowClient,
} from "../heldBytes";
import { BodyError } from "./bodyRefusal";

/** System errors for a full disk, which are not errors of the request or the server. */
const NO_ROOM = ["ENOSPC", "EDQUOT", "EMFILE", "ENFILE"];

export class UploadDisk {
  private bytes = 0;
  private writing = 0;
  private readonly waiting: (() => void)[] = [];
  private readonly files = new Set<string>();
  /** Uploads in progress. */
  private readonly uploads = new SlowClients(STALLED_SENDER_MS);
  private onEmpty: (() => void) | undefined;

  /** Bytes of the temporary files that are not removed yet. */
  get usedBytes(): number {
    return this.bytes;
  }

  /** Register a temporary file, until `forget`. */
  begin(file: string): void {
    this.files.add(file);
  }

  forget(file: string): void {
    this.files.delete(file);
    if (this.files.size === 0) this.onEmpty?.();
  }

  /**
   * Wait until all temporary files are removed.
   * @param timeoutMs the longest wait, in ms
   * @returns the number of remaining files
   */
  async allRemoved(timeoutMs: number): Promise<number> {
    if (this.files.size > 0)
      await waitAtMost(
        timeoutMs,
        new Promise<void>((resolve) => (this.onEmpty = resolve)),
      );
    this.onEmpty = undefined;
    return this.files.size;
  }

  /**
   * Slow uploads are refused if there is no room otherwise.
   * @throws BodyError 503
   */
  reserve(upload: TemporaryFiles, bytes: number): void {
    const { maxUploadBytes } = settings().web;
    while (this.bytes + bytes > maxUploadBytes) {
      const slower =
        bytes <= maxUploadBytes
          ? this.uploads.slowerThan(upload, maxUploadBytes)
          : undefined;
      if (!slower) throw BodyError.noRoom();
      slower.disconnect();
    }
    this.bytes += bytes;
    if (upload.isInProgress) this.uploads.add(upload);
  }

  /** An upload is complete, or has failed. */
  end(upload: TemporaryFiles): void {
    this.uploads.delete(upload);
  }

  release(bytes: number): void {
    this.bytes -= bytes;
  }

  /**
   * Write when a slot is free. A slot is held during a write, not during the upload, so slow clients occupy none.
   * @throws BodyError 503 when the system has no room, or the error of the disk
   */
  async write(work: () => Promise<void>): Promise<void> {
    const { maxUploadWrites } = settings().web;
    if (this.writing >= maxUploadWrites)
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.writing++;
    try {
      await work();
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      throw NO_ROOM.includes(code) ? BodyError.noRoom(error) : error;
    } finally {
      const next = this.waiting.shift(); // it inherits the slot
      if (next) next();
      else this.writing--;
    }
  }
}

// --- The temporary files of one request: written while they arrive, removed when it ends.

const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW = 0, O_WRONLY } = fs.constants;
const CREATE_FLAGS = O_WRONLY | O_CREAT | O_EXCL;
const APPEND_FLAGS = O_WRONLY | O_APPEND | O_NOFOLLOW;
const OWNER_ONLY = 0o600;

/** The limit of unwritten bytes of a file in memory. */
const BUFFERED_BYTES = 64 * 1024;

export class TemporaryFiles implements SlowClient {
  /** Refuses the upload while it is in progress. */
  private refuse: (() => void) | undefined = undefined;
  /** It was refused: nothing more is written. */
  private isRefused = false;
  /** Bytes that were reserved for each path. */
  private readonly sizes = new Map<string, number>();
  private readonly streams = new Map<string, Writable>();

  constructor(
    private readonly disk: UploadDisk,
    private readonly holder: Holder,
  ) {}

  get size(): number {
    let bytes = 0;
    for (const reserved of this.sizes.values()) bytes += reserved;
    return bytes;
  }

  get address(): string | undefined {
    return this.holder.clientAddress;
  }

  progress(): number {
    return this.holder.bytesRead;
  }

  get isInProgress(): boolean {
    return this.refuse !== undefined;
  }

  /**
   * The upload begins: until `complete`, it is refused if it is slow while others need the disk.
   * @param refuse called when its files do not count any more: they are removed when the request ends
   */
  expectMore(refuse: () => void): void {
    this.refuse = refuse;
  }

  complete(): void {
    this.refuse = undefined;
    this.disk.end(this);
  }

  disconnect(): void {
    const { refuse } = this;
    this.complete();
    this.isRefused = true;
    this.disk.release(this.size);
    for (const file of this.sizes.keys()) this.sizes.set(file, 0);
    refuse?.();
  }

  /** The number of started files. */
  get count(): number {
    return this.sizes.size;
  }

  /**
   * A stream into a new file; its error may be a BodyError. The file is registered at once, so that it is removed in
   * any case.
   * @param written called with the number of bytes that do not have to stay in memory any more
   */
  create(file: string, written: (bytes: number) => void): Writable {
    this.sizes.set(file, 0);
    this.disk.begin(file);
    const stream = new FileStream(async (bytes, isNew) => {
      await this.write(file, bytes, isNew);
      written(bytes.length);
    });
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
    if (this.isRefused) throw BodyError.noRoom();
    this.disk.reserve(this, bytes.length);
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

// --- The temporary folder of uploaded files.

/** On folders that several machines share, only the host that wrote a file can tell whether its process lives. */
const HOST = createHash("sha256")
  .update(os.hostname())
  .digest("hex")
  .slice(0, 8);
const STARTED = Math.round(Date.now() - process.uptime() * 1000).toString(36);
const PREFIX = "actionhero-upload";
const NAME = /^actionhero-upload-([\da-f]{8})-(\d+)-([\da-z]+)-/;

export function uploadFolder(options: Pick<FormOptions, "uploadDir">): string {
  return options.uploadDir ?? os.tmpdir();
}

/** A name that identifies the process, to find files of crashed processes. */
export function newUpload(
  options: Pick<FormOptions, "uploadDir" | "keepExtensions">,
  originalFilename: string | null,
  mimetype: string | null,
): UploadedFile {
  const random = randomBytes(12).toString("hex");
  const extension =
    options.keepExtensions === true && originalFilename
      ? safeExtension(originalFilename)
      : "";
  const name = `${PREFIX}-${HOST}-${process.pid}-${STARTED}-${random}${extension}`;
  const filepath = path.join(uploadFolder(options), name);
  return new UploadedFile(filepath, name, originalFilename, mimetype);
}

/**
 * Remove files of dead processes of this host from the folder.
 * @returns how many files were removed
 */
export async function removeLeftovers(folder: string): Promise<number> {
  let names: string[];
  try {
    names = await fs.promises.readdir(folder);
  } catch {
    return 0; // no readable folder, no leftovers; the first upload will report the error
  }
  let removed = 0;
  for (const name of names) {
    if (!isLeftover(name)) continue;
    try {
      await fs.promises.unlink(path.join(folder, name));
      removed++;
    } catch {
      continue; // another program's file, or already removed
    }
  }
  return removed;
}

function isLeftover(name: string): boolean {
  const match = NAME.exec(name);
  if (!match || match[1] !== HOST) return false;
  const pid = Number(match[2]);
  // the processes of containers all have the same pid; the start time distinguishes them
  return pid === process.pid ? match[3] !== STARTED : !isRunning(pid);
}

function safeExtension(filename: string): string {
  const extension = path.extname(path.basename(filename));
  return /^\.[\w-]{1,20}$/.test(extension) ? extension : "";
}
