/** Turns a TCP byte stream into lines. Knows no sockets, so tests feed it bytes. */
import { constants } from "node:buffer";

/** A line, or a fault instead of one. */
export type Decoded = string | LineFault;

export type LineFault =
  /** A whole line over the limit. */
  | { kind: "tooLong"; received: number }
  /** Too many bytes without a delimiter; decoding stops. */
  | { kind: "endless"; received: number }
  /** A line that was dropped by `dropLine`. */
  | { kind: "dropped" }
  /** Ctrl-C or Ctrl-D of a terminal; decoding stops. */
  | { kind: "break" };

/** How many bytes of an oversized line are skipped while waiting for its end, before decoding stops. */
export const MAX_SKIPPED_BYTES = 16 * 1024 * 1024;

const NOTHING = Buffer.alloc(0);
const NEWLINE = Buffer.from("\n");
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;
const CTRL_D = 0x04;
/** The bytes that telnet sends for Ctrl-C: IAC IP, IAC DO TIMING-MARK. */
const CTRL_C = Buffer.from([0xff, 0xf4, 0xff, 0xfd, 0x06]);
const MIN_STORE_BYTES = 256;

/**
 * Each byte is inspected once, and the lines are the same for every division of the stream into chunks. Carriage
 * returns count as newlines. Empty lines are skipped.
 */
export class LineDecoder {
  private delimiter = NEWLINE;
  private delimiterText = "\n";
  private maxLineBytes = constants.MAX_STRING_LENGTH;
  /** The bytes of the unfinished line; of an oversized line, only those that may begin a delimiter. */
  private store = NOTHING;
  private stored = 0;
  /** The length of the unfinished line, including bytes that were dropped. */
  private length = 0;
  private isDropped = false;
  /** Received bytes with lines that have not been decoded, from `at`. */
  private input: Buffer = NOTHING;
  private at = 0;
  private isOver = false;
  private hasNewDelimiter = false;

  /**
   * These settings may change between chunks.
   * @param delimiter ends a line; an empty one means a newline
   * @param maxLineBytes longest accepted line in bytes; 0 means the maximum length of a string
   */
  configure(delimiter: string, maxLineBytes: number): void {
    this.maxLineBytes =
      maxLineBytes > 0 ? maxLineBytes : constants.MAX_STRING_LENGTH;
    if (delimiter === this.delimiterText) return;
    this.delimiterText = delimiter;
    this.hasNewDelimiter = true;
    this.delimiter =
      delimiter === "" ? NEWLINE : Buffer.from(delimiter.replace(/\r/g, "\n"));
  }

  /** Bytes of the unfinished line that are stored. */
  get storedBytes(): number {
    return this.stored;
  }

  /** The received bytes in memory, while there may be lines in them. */
  get waitingBytes(): number {
    return this.input.length;
  }

  /** Drop the unfinished line: when it ends, a fault is returned instead. */
  dropLine(): void {
    this.isDropped = true;
    this.keepTail(this.store.subarray(0, this.stored));
  }

  add(chunk: Buffer): void {
    if (this.isOver) return;
    const bytes = withoutCarriageReturns(chunk);
    const left = this.input.subarray(this.at);
    this.at = 0;
    this.input = this.withEarlier(
      left.length > 0 ? Buffer.concat([left, bytes]) : bytes,
    );
  }

  /** Forget the lines that have not been decoded. */
  clear(): void {
    this.input = NOTHING;
    this.at = 0;
  }

  /**
   * The next line. Lines are decoded one by one, because a chunk of short ones takes twenty times its length.
   * @returns undefined if none is complete
   */
  next(): Decoded | undefined {
    while (this.at < this.input.length) {
      const { input, at } = this;
      if (this.length === 0 && isBreak(input, at)) {
        this.giveUp();
        return { kind: "break" };
      }
      const end = this.findEnd(input, at);
      if (end === undefined) {
        this.clear();
        return this.hold(input, at) ? this.endless() : undefined;
      }
      this.at = end + this.delimiter.length;
      const line = this.finish(input, at, end);
      if (line !== undefined) return line;
    }
    this.clear();
    return undefined;
  }

  /** The position of the delimiter; negative if it began in an earlier chunk. */
  private findEnd(bytes: Buffer, start: number): number | undefined {
    const { delimiter, stored } = this;
    const overlap = delimiter.length - 1;
    if (overlap > 0 && stored > 0) {
      const tail = this.store.subarray(Math.max(0, stored - overlap), stored);
      const seam = Buffer.concat([tail, bytes.subarray(0, overlap)]);
      const at = seam.indexOf(delimiter);
      if (at !== -1) return at - tail.length;
    }
    const at =
      overlap === 0
        ? bytes.indexOf(delimiter[0]!, start)
        : bytes.indexOf(delimiter, start);
    return at === -1 ? undefined : at;
  }

  /** The unfinished line and `bytes` from `start` to `end`, as a line. */
  private finish(
    bytes: Buffer,
    start: number,
    end: number,
  ): Decoded | undefined {
    const length = this.length + end - start;
    const isWhole = this.length === 0;
    const isTooLong = this.isSkipping() || length > this.maxLineBytes;
    const { stored, isDropped } = this;
    this.length = 0;
    this.stored = 0;
    this.isDropped = false;
    if (length > this.maxLineBytes + MAX_SKIPPED_BYTES) return this.endless();
    if (isTooLong) {
      this.store = NOTHING;
      return isDropped
        ? { kind: "dropped" }
        : { kind: "tooLong", received: length };
    }
    if (length === 0) return undefined;
    if (isWhole) return bytes.toString("utf8", start, end);
    if (end > start) this.append(bytes, start, end, stored);
    const line = this.store.toString("utf8", 0, length);
    this.store = NOTHING;
    return line;
  }

  /** @returns true when the line has exceeded the limit by too much */
  private hold(bytes: Buffer, start: number): boolean {
    const overlap = this.delimiter.length - 1;
    const isSkipping = this.isSkipping();
    this.length += bytes.length - start;
    // the last bytes may belong to the delimiter
    const certain = this.length - overlap;
    if (certain > this.maxLineBytes + MAX_SKIPPED_BYTES) return true;
    if (certain <= this.maxLineBytes && !isSkipping) {
      this.append(bytes, start, bytes.length, this.stored);
      this.stored += bytes.length - start;
      return false;
    }
    const known = Buffer.concat([
      this.store.subarray(Math.max(0, this.stored - overlap), this.stored),
      bytes.subarray(Math.max(start, bytes.length - overlap)),
    ]);
    this.keepTail(known);
    return false;
  }

  /** Of a skipped line, only bytes that may begin a delimiter are stored. */
  private keepTail(known: Buffer): void {
    const overlap = this.delimiter.length - 1;
    this.store = Buffer.from(
      known.subarray(Math.max(0, known.length - overlap)),
    );
    this.stored = this.store.length;
  }

  /**
   * Copied, so that a short remainder does not keep its chunk in memory; the buffer doubles, so that single bytes are
   * cheap.
   */
  private append(
    bytes: Buffer,
    start: number,
    end: number,
    stored: number,
  ): void {
    const needed = stored + end - start;
    if (needed > this.store.length) {
      const grown = Buffer.allocUnsafeSlow(
        Math.max(
          needed,
          Math.min(2 * this.store.length, this.maxLineBytes),
          MIN_STORE_BYTES,
        ),
      );
      this.store.copy(grown, 0, 0, stored);
      this.store = grown;
    }
    bytes.copy(this.store, stored, start, end);
  }

  /**
   * Bytes of the unfinished line that must be inspected again, before those of the chunk: a break may arrive in
   * pieces, and with a changed delimiter the line may already be complete.
   */
  private withEarlier(bytes: Buffer): Buffer {
    const { stored } = this;
    const mayBreak =
      stored > 0 && stored < CTRL_C.length && this.store[0] === CTRL_C[0];
    const isToRepeat = (mayBreak || this.hasNewDelimiter) && !this.isSkipping();
    this.hasNewDelimiter = false;
    if (!isToRepeat || stored === 0) return bytes;
    const joined = Buffer.concat([this.store.subarray(0, stored), bytes]);
    this.length = 0;
    this.stored = 0;
    return joined;
  }

  /** The unfinished line is oversized, or was dropped. */
  private isSkipping(): boolean {
    return this.isDropped || this.stored !== this.length;
  }

  /** The number does not depend on how the stream is divided. */
  private endless(): LineFault {
    this.giveUp();
    return {
      kind: "endless",
      received: this.maxLineBytes + MAX_SKIPPED_BYTES + 1,
    };
  }

  private giveUp(): void {
    this.isOver = true;
    this.clear();
    this.store = NOTHING;
    this.stored = 0;
  }
}

function withoutCarriageReturns(chunk: Buffer): Buffer {
  let at = chunk.indexOf(CARRIAGE_RETURN);
  if (at === -1) return chunk;
  const bytes = Buffer.from(chunk);
  for (; at !== -1; at = bytes.indexOf(CARRIAGE_RETURN, at + 1))
    bytes[at] = LINE_FEED;
  return bytes;
}

function isBreak(bytes: Buffer, start: number): boolean {
  const first = bytes[start];
  if (first === CTRL_D) return true;
  if (first !== CTRL_C[0]) return false;
  return bytes.subarray(start, start + CTRL_C.length).equals(CTRL_C);
}
