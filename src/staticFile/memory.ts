/** Holds small files in memory, so that most requests for files cost no disk access. */
import type { Stats } from "node:fs";
import type { FileContent } from "./open";

/** Longer files are streamed from the disk. */
export const MAX_HELD_FILE_BYTES = 256 * 1024;
/** All files together; the longest unused are dropped first. */
export const MAX_HELD_BYTES = 32 * 1024 * 1024;
/** What an entry takes beside its file and its name. */
export const ENTRY_BYTES = 1024;
/** For how long what was seen on the disk is believed. */
export const BELIEVED_MS = 1000;

/** A file as it was when last read. */
export interface HeldFile extends FileContent {
  /** What clients see in logs: the path before following links. */
  file: string;
  /** The name is that of a folder, and this is its index. */
  isIndex: boolean;
  /** Milliseconds since the epoch. */
  checkedAt: number;
}

/** What tells a file from what it was. */
type FileStats = Pick<Stats, "size" | "mtimeMs" | "ctimeMs" | "ino">;

/** Files by the name under which they were asked for, in the order of their last use. */
export class FileMemory {
  private readonly files = new Map<string, HeldFile>();
  private bytes = 0;

  constructor(
    private readonly maxBytes = MAX_HELD_BYTES,
    private readonly now: () => number = () => Date.now(),
  ) {}

  /** The file, if it was checked less than BELIEVED_MS ago. */
  fresh(key: string): HeldFile | undefined {
    const held = this.files.get(key);
    if (held === undefined) return undefined;
    const age = this.now() - held.checkedAt;
    return age >= 0 && age < BELIEVED_MS ? held : undefined;
  }

  /** The file that was read before, if the disk still has the same one; it is believed again from now. */
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

/** Clients choose the names: of one small file there can be any number (`./a`, `././a`), as long as they like. */
function sizeOf(key: string, { length }: HeldFile): number {
  return length + 2 * key.length + ENTRY_BYTES;
}
