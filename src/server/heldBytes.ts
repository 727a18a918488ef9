/** A common limit of client data in memory: bodies, messages, lines and their params. */
import { settings } from "../config/settings";
import { log } from "../log/log";

/** Requests and connections that hold at most this many bytes are small: they pass while large ones fill the limit. */
export const FREE_BYTES = 16 * 1024;

/** The error for a request beyond the limit. */
export const MEMORY_LIMIT_TEXT =
  "the server holds too much at the moment, try again later";

/** The interval of log lines about refusals, in ms. */
const LOG_PAUSE_MS = 10_000;

/** Bytes of all shares. The memory is that of the process, and so is this. */
class HeldBytes {
  /** Of holders with more than `FREE_BYTES`. */
  large = 0;
  /** Of all others. They have the same limit of their own: many of them fill the memory, too. */
  small = 0;
  private refused = 0;
  private silentUntil = 0;

  /** Whether a holder may hold `wanted` bytes instead of `held`. */
  hasRoom(held: number, wanted: number): boolean {
    const limit = settings().general.maxHeldBytes;
    if (wanted <= FREE_BYTES) return this.small + wanted - held <= limit;
    const released = held > FREE_BYTES ? held : 0;
    return this.large + wanted - released <= limit;
  }

  replace(held: number, bytes: number): void {
    if (held > FREE_BYTES) this.large -= held;
    else this.small -= held;
    if (bytes > FREE_BYTES) this.large += bytes;
    else this.small += bytes;
  }

  refuse(): void {
    this.refused++;
    const now = performance.now();
    if (now < this.silentUntil) return;
    this.silentUntil = now + LOG_PAUSE_MS;
    log(
      `refusing requests: clients make the server hold ${this.large + this.small} bytes already (general.maxHeldBytes is ${settings().general.maxHeldBytes})`,
      "warning",
      { count: this.refused },
    );
    this.refused = 0;
  }
}

const heldBytes = new HeldBytes();

/** How many bytes clients make this process hold, without those of holders with at most `FREE_BYTES`. */
export function totalHeldBytes(): number {
  return heldBytes.large;
}

/** The bytes of the holders with at most `FREE_BYTES`. */
export function totalSmallBytes(): number {
  return heldBytes.small;
}

/** The bytes of one holder: a request over HTTP, or a persistent connection. */
export class ByteShare {
  /** The share was released. */
  isReleased = false;
  private held = 0;

  /**
   * Check before bytes are stored.
   * @returns false when they must not be: the limit is reached, or the share has been released
   */
  take(bytes: number): boolean {
    if (!this.hasRoom(bytes)) return false;
    this.hold(this.held + bytes);
    return true;
  }

  /** Count bytes that are already stored. */
  add(bytes: number): void {
    if (!this.isReleased) this.hold(this.held + bytes);
  }

  /** Whether so many bytes could be taken now; if not, the refusal is logged. */
  hasRoom(bytes: number): boolean {
    if (this.isReleased) return false;
    if (heldBytes.hasRoom(this.held, this.held + bytes)) return true;
    heldBytes.refuse();
    return false;
  }

  /** Release some bytes. */
  give(bytes: number): void {
    if (!this.isReleased) this.hold(Math.max(0, this.held - bytes));
  }

  /** Release all bytes. */
  release(): void {
    this.hold(0);
    this.isReleased = true;
  }

  private hold(bytes: number): void {
    heldBytes.replace(this.held, bytes);
    this.held = bytes;
  }
}
