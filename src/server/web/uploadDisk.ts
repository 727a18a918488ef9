/** What all uploads of a process share: bytes on disk, and writes at the same time. */
import { BodyError } from "./bodyError";
import { settings } from "../../config/settings";
import { waitAtMost } from "../../utils/promises";

/** What the system says when it has no room: nothing is wrong with the request or the server. */
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

  /** A temporary file comes to be; it is there until `forget`. */
  begin(file: string): void {
    this.files.add(file);
  }

  forget(file: string): void {
    this.files.delete(file);
    if (this.files.size === 0) this.onEmpty?.();
  }

  /**
   * Wait until all temporary files are removed.
   * @param timeoutMs not longer than this
   * @returns how many are left
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
   * Write when there is a slot. A slot is held by a write, and not by an upload: a client that sends slowly holds none.
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
      const next = this.waiting.shift(); // it takes over the slot
      if (next) next();
      else this.writing--;
    }
  }
}
