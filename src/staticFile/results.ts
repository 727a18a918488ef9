/** The results of file look-ups, and the caches of file contents and of precompressed copies. */
import type { Stats } from "node:fs";
import * as path from "node:path";
import { Readable } from "node:stream";
import { locate, type FileContent } from "./disk";

/** The part of a connection that serving a file needs. */
export interface FileConnection {
  type: string;
  remoteIP: string;
  params: { [key: string]: any };
  error: any;
}

/** The compressed copies that a build puts beside files: `app.js.br`, `app.js.gz`. */
export interface StoredCopies {
  /** The encodings with an up-to-date copy, smallest first. */
  encodingsOf(found: StaticFileResult): Promise<readonly StoredEncoding[]>;
  /** The copy in an encoding; undefined or an error when it vanished. */
  get(
    found: StaticFileResult,
    encoding: StoredEncoding,
  ): Promise<StaticFileResult | undefined>;
}

/** A file, or the error if it was not found. */
export interface StaticFileResult {
  connection: FileConnection;
  /** The text for the client; absent when the file was found. */
  error?: any;
  /** The file's bytes. Each read of this property of a file in memory makes a stream. */
  readonly fileStream?: Readable;
  /** The file's bytes, when they are in memory. */
  content?: Buffer;
  mime: string;
  /** Bytes. */
  length: number | null;
  lastModified?: Date;
  /** When anything of the file changed, in ms since the epoch. */
  ctimeMs?: number;
  /** Where it was found. */
  file?: string;
  /** The client named a folder, and this is its index. */
  isIndex?: boolean;
  /** Gives access to its precompressed copies. */
  copies?: StoredCopies;
  /** Call it after sending `content`: it writes the log line that a stream writes when it ends. */
  sent?: () => void;
}

/**
 * A file in memory. Its stream is created on access, for servers that support only streams; it is a getter of the
 * class, so that copies (`{...result}`) do not create one.
 */
export class HeldFileResult implements StaticFileResult {
  content: Buffer;
  mime: string;
  length: number;
  lastModified: Date;
  ctimeMs: number;
  file: string;
  isIndex: boolean;
  sent: () => void;

  constructor(
    public connection: FileConnection,
    held: HeldFile,
    public copies: StoredCopies,
    log: () => void,
  ) {
    this.content = held.content;
    this.mime = held.mime;
    this.length = held.length;
    this.lastModified = held.lastModified;
    this.ctimeMs = held.ctimeMs;
    this.file = held.file;
    this.isIndex = held.isIndex;
    this.sent = log;
  }

  get fileStream(): Readable {
    const stream = Readable.from(this.length === 0 ? [] : [this.content], {
      objectMode: false,
    });
    stream.once("end", this.sent);
    return stream;
  }
}

// --- Finds the compressed copies that a build puts beside files: `app.js.br` and `app.js.gz`.

/** The content encodings of copies, with the endings of their names. */
export const ENDINGS = { br: ".br", gzip: ".gz" } as const;

export type StoredEncoding = keyof typeof ENDINGS;

/** A copy that is older than its file is stale; archives and some disks keep times to two seconds. */
const TIME_GRANULARITY_MS = 2000;

/** The number of files whose copies, or lack of copies, are cached; the least recently used are dropped first. */
const MAX_REMEMBERED = 10_000;

interface Copies {
  checkedAt: number;
  lastModifiedMs: number;
  encodings: readonly StoredEncoding[];
}

export class Precompressed {
  private readonly known = new Map<string, Copies>();

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** The encodings of a file of which there is a copy that is not older than the file itself. */
  async encodingsOf(
    file: string,
    lastModified: Date,
  ): Promise<readonly StoredEncoding[]> {
    const lastModifiedMs = lastModified.getTime();
    const known = this.known.get(file);
    if (known?.lastModifiedMs === lastModifiedMs) {
      const age = this.now() - known.checkedAt;
      if (age >= 0 && age < REVALIDATE_MS) return known.encodings;
    }
    const encodings = await findCopies(file, lastModifiedMs);
    this.remember(file, { checkedAt: this.now(), lastModifiedMs, encodings });
    return encodings;
  }

  private remember(file: string, copies: Copies): void {
    this.known.delete(file);
    this.known.set(file, copies);
    if (this.known.size <= MAX_REMEMBERED) return;
    for (const oldest of this.known.keys()) {
      this.known.delete(oldest);
      return;
    }
  }
}

async function findCopies(
  file: string,
  lastModifiedMs: number,
): Promise<StoredEncoding[]> {
  const encodings = Object.keys(ENDINGS) as StoredEncoding[];
  const found = await Promise.all(
    encodings.map((encoding) =>
      locate(path.dirname(file), path.basename(file) + ENDINGS[encoding], ""),
    ),
  );
  return encodings.filter((_encoding, i) => {
    const copy = found[i];
    if (copy === undefined || copy.isIndex) return false;
    return copy.stats.mtimeMs + TIME_GRANULARITY_MS >= lastModifiedMs;
  });
}

// --- Holds small files in memory, so that most requests for files cost no disk access.

/** Longer files are streamed from the disk. */
export const MAX_HELD_FILE_BYTES = 256 * 1024;
/** All files together; the longest unused are dropped first. */
const MAX_HELD_BYTES = 32 * 1024 * 1024;
/** The estimated overhead of an entry besides its contents and name, in bytes. */
export const ENTRY_BYTES = 1024;
/** How long a cached file is served without checking the disk, in ms. */
export const REVALIDATE_MS = 1000;

/** A file as it was when last read. */
export interface HeldFile extends FileContent {
  /** The path for logs: before following links. */
  file: string;
  /** The name is that of a folder, and this is its index. */
  isIndex: boolean;
  /** Milliseconds since the epoch. */
  checkedAt: number;
}

/** The attributes by which a change of a file is detected. */
type FileStats = Pick<Stats, "size" | "mtimeMs" | "ctimeMs" | "ino">;

/** Files by the name under which they were asked for, in the order of their last use. */
export class FileMemory {
  private readonly files = new Map<string, HeldFile>();
  private bytes = 0;

  constructor(
    private readonly maxBytes = MAX_HELD_BYTES,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** The file, if it was checked less than REVALIDATE_MS ago. */
  fresh(key: string): HeldFile | undefined {
    const held = this.files.get(key);
    if (held === undefined) return undefined;
    const age = this.now() - held.checkedAt;
    return age >= 0 && age < REVALIDATE_MS ? held : undefined;
  }

  /** The cached file, if the file on the disk is unchanged; it counts as checked now. */
  confirm(
    key: string,
    { size, mtimeMs, ctimeMs, ino }: FileStats,
  ): HeldFile | undefined {
    const held = this.files.get(key);
    if (held === undefined) return undefined;
    const isSame =
      held.length === size &&
      held.mtimeMs === mtimeMs &&
      held.ctimeMs === ctimeMs &&
      held.ino === ino;
    if (!isSame) {
      this.forget(key);
      return undefined;
    }
    held.checkedAt = this.now();
    this.files.delete(key);
    this.files.set(key, held);
    return held;
  }

  hold(
    key: string,
    file: string,
    content: FileContent,
    isIndex = false,
  ): HeldFile {
    this.forget(key);
    const held = { ...content, file, isIndex, checkedAt: this.now() };
    this.files.set(key, held);
    this.bytes += sizeOf(key, held);
    for (const oldest of this.files.keys()) {
      if (this.bytes <= this.maxBytes) break;
      this.forget(oldest);
    }
    return held;
  }

  forget(key: string): void {
    const held = this.files.get(key);
    if (held === undefined) return;
    this.files.delete(key);
    this.bytes -= sizeOf(key, held);
  }
}

/** Includes the key, because clients choose it: one small file can have many long names (`./a`, `././a`). */
function sizeOf(key: string, { length }: HeldFile): number {
  return length + 2 * key.length + ENTRY_BYTES;
}
