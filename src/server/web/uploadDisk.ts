/** Limits for all uploads of a process: bytes on disk, and concurrent writes. */
import { BodyError } from "./bodyError";
import { settings } from "../../config/settings";
import { waitAtMost } from "../../utils/promises";

/** System errors for a full disk, which are not errors of the request or the server. */
const NO_ROOM = ["ENOSPC", "EDQUOT", "EMFILE", "ENFILE"];

export class UploadDisk {
  private bytes = 0;
  private writing = 0;
  private readonly waiting: (() => void)[] = [];
  private readonly files = new Set<string>();
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

  /** @throws BodyError 503 */
  reserve(bytes: number): void {
    const { maxUploadBytes } = settings().web;
    if (this.bytes + bytes > maxUploadBytes) throw BodyError.noRoom();
    this.bytes += bytes;
  }

  release(bytes: number): void {
    this.bytes -= bytes;
  }

  /**
   * Write when a slot is free. Writes hold slots, uploads do not: a slow client occupies none.
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
