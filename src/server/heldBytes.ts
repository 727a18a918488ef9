/** One limit on the bytes that clients make this process hold: bodies, messages, lines and the params made of them. */
import { settings } from "../config/settings";
import { log } from "../log/log";

/** What each request or connection may hold in any case: those that are small pass when the limit is reached. */
export const FREE_BYTES = 16 * 1024;

/** What clients read of a request that is one too many. */
export const OVERLOADED_TEXT =
  "the server holds too much at the moment, try again later";

/** Refusals are told of once in so many ms. */
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
    const now = Date.now();
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
  /** Nothing can be taken any more. */
  isReleased = false;
  private held = 0;
  /** Those that count against the limit. */
  private counted = 0;

  /**
   * Ask before bytes are kept.
   * @returns false when they must not be: the limit is reached, or the share has been released
   */
  take(bytes: number): boolean {
    if (!this.hasRoom(bytes)) return false;
    this.add(bytes);
    return true;
  }

  /** Count bytes that are kept already. */
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

  /** So many of them are not kept any more. */
  give(bytes: number): void {
    if (this.isReleased) return;
    this.held = Math.max(0, this.held - bytes);
    this.count();
  }

  /** The holder is gone. */
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
