/** A common limit of client data in memory: bodies, messages, lines and their params. */
import { settings } from "../config/settings";
import { log } from "../log/log";

/** Bytes that each request or connection may always hold: small ones pass when the limit is reached. */
export const FREE_BYTES = 16 * 1024;

/** The error for a request beyond the limit. */
export const MEMORY_LIMIT_TEXT =
  "the server holds too much at the moment, try again later";

/** The interval of log lines about refusals, in ms. */
const LOG_PAUSE_MS = 10_000;

/** Bytes of all shares. The memory is that of the process, and so is this. */
class HeldBytes {
  total = 0;
  private refused = 0;
  private silentUntil = 0;

  hasRoom(bytes: number): boolean {
    return this.total + bytes <= settings().general.maxHeldBytes;
  }

  refuse(): void {
    this.refused++;
    const now = performance.now();
    if (now < this.silentUntil) return;
    this.silentUntil = now + LOG_PAUSE_MS;
    log(
      `refusing requests: clients make the server hold ${this.total} bytes already (general.maxHeldBytes is ${settings().general.maxHeldBytes})`,
      "warning",
      { count: this.refused },
    );
    this.refused = 0;
  }
}

const heldBytes = new HeldBytes();

/** How many bytes clients make this process hold; those of holders with at most `FREE_BYTES` do not count. */
export function totalHeldBytes(): number {
  return heldBytes.total;
}

/** The bytes of one holder: a request over HTTP, or a persistent connection. */
export class ByteShare {
  /** The share was released. */
  isReleased = false;
  private held = 0;
  /** Bytes that count against the limit. */
  private counted = 0;

  /**
   * Check before bytes are stored.
   * @returns false when they must not be: the limit is reached, or the share has been released
   */
  take(bytes: number): boolean {
    if (!this.hasRoom(bytes)) return false;
    this.add(bytes);
    return true;
  }

  /** Count bytes that are already stored. */
  add(bytes: number): void {
    if (this.isReleased) return;
    this.held += bytes;
    this.count();
  }

  /** Whether so many bytes could be taken now; if not, the refusal is logged. */
  hasRoom(bytes: number): boolean {
    if (this.isReleased) return false;
    const wanted = this.held + bytes;
    if (wanted <= FREE_BYTES || heldBytes.hasRoom(wanted - this.counted))
      return true;
    heldBytes.refuse();
    return false;
  }

  /** Release some bytes. */
  give(bytes: number): void {
    if (this.isReleased) return;
    this.held = Math.max(0, this.held - bytes);
    this.count();
  }

  /** Release all bytes. */
  release(): void {
    this.held = 0;
    this.count();
    this.isReleased = true;
  }

  private count(): void {
    const counted = this.held > FREE_BYTES ? this.held : 0;
    heldBytes.total += counted - this.counted;
    this.counted = counted;
  }
}
