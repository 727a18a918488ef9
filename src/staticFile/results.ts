/** What a search for a file ends with. */
import { Readable } from "node:stream";
import type { HeldFile } from "./memory";
import type { StoredEncoding } from "./precompressed";

/** The part of a connection that serving a file needs. */
export interface FileConnection {
  type: string;
  remoteIP: string;
  params: { [key: string]: any };
  error: any;
}

/** The compressed copies that a build puts beside files: `app.js.br`, `app.js.gz`. */
export interface StoredCopies {
  /** The encodings of which there is one that is not stale, the smallest first. */
  encodingsOf(found: StaticFileResult): Promise<readonly StoredEncoding[]>;
  /** The copy in an encoding; undefined or an error when it vanished. */
  get(
    found: StaticFileResult,
    encoding: StoredEncoding,
  ): Promise<StaticFileResult | undefined>;
}

/** A file that was found, or the error that says why not. */
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
  /** Where its compressed copies are to be had. */
  copies?: StoredCopies;
  /** To be called by who sends `content`: it writes the log line that a stream writes at its end. */
  sent?: () => void;
}

/**
 * A file in memory. The stream is made when it is read from, by servers that know only streams; as a getter of the
 * class it is left out of copies (`{...result}`).
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
