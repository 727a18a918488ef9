/** A common limit of client data in memory: bodies, messages, lines and their params. */
import { settings } from "../config/settings";
import { log } from "../log/log";
import { SlowClients, STALLED_SENDER_MS, type SlowClient } from "./slowClients";

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
  /** Holders of a body or message that the client has not sent completely. */
  private readonly slowLarge = new SlowClients(STALLED_SENDER_MS);
  private readonly slowSmall = new SlowClients(STALLED_SENDER_MS);
  private refused = 0;
  private silentUntil = 0;

  /** Whether a holder may hold `wanted` bytes instead of `held`. */
  hasRoom(held: number, wanted: number): boolean {
    const limit = settings().general.maxHeldBytes;
    if (wanted <= FREE_BYTES) return this.small + wanted - held <= limit;
    const released = held > FREE_BYTES ? held : 0;
    return this.large + wanted - released <= limit;
  }

  /** Make room by refusing slow clients. @returns whether there is room now */
  makeRoom(share: ByteShare, wanted: number): boolean {
    const limit = settings().general.maxHeldBytes;
    if (wanted > limit) return false;
    const slow = this.slowOf(wanted);
    while (!this.hasRoom(share.size, wanted)) {
      const slower = slow.slowerThan(share, limit);
      if (!slower) return false;
      this.refuse();
      slower.disconnect();
    }
    return true;
  }

  slowOf(bytes: number): SlowClients {
    return bytes > FREE_BYTES ? this.slowLarge : this.slowSmall;
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

/** Whose bytes they are. */
export interface Holder {
  readonly clientAddress: string | undefined;
  /** How many bytes its socket has received. */
  readonly bytesRead: number;
}

/** The bytes of one holder: a request over HTTP, or a persistent connection. */
export class ByteShare implements SlowClient {
  /** The share was released. */
  isReleased = false;
  private held = 0;
  /** While the client has not sent everything: refuses it. */
  private refuse: (() => void) | undefined = undefined;
  private slow: SlowClients | undefined = undefined;

  constructor(private readonly holder?: Holder) {}

  get size(): number {
    return this.held;
  }

  get address(): string | undefined {
    return this.holder?.clientAddress;
  }

  progress(): number {
    return this.holder?.bytesRead ?? 0;
  }

  /**
   * The client has to send more: until `complete`, it is refused if it is slow while others need the memory.
   * @param refuse called when the bytes do not count any more: they are to be freed
   */
  expectMore(refuse: () => void): void {
    this.refuse = refuse;
    this.enlist();
  }

  /** The client has sent everything. */
  complete(): void {
    this.refuse = undefined;
    this.enlist();
  }

  disconnect(): void {
    const { refuse } = this;
    this.complete();
    this.give(this.held);
    refuse?.();
  }

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

  /** Whether so many bytes can be taken now; if not, the refusal is logged. Slow clients are refused for them. */
  hasRoom(bytes: number): boolean {
    if (this.isReleased) return false;
    const wanted = this.held + bytes;
    if (heldBytes.hasRoom(this.held, wanted)) return true;
    if (heldBytes.makeRoom(this, wanted)) return true;
    heldBytes.refuse();
    return false;
  }

  /** Whether there may be room for so many bytes when they have arrived: slow clients are not refused for an announcement. */
  mayTake(bytes: number): boolean {
    if (this.isReleased) return false;
    const wanted = this.held + bytes;
    if (heldBytes.hasRoom(this.held, wanted)) return true;
    if (heldBytes.slowOf(wanted).count > 0) return true;
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
    if (this.refuse !== undefined) this.enlist();
  }

  private enlist(): void {
    const isSlow = this.refuse !== undefined && this.held > 0;
    const slow = isSlow ? heldBytes.slowOf(this.held) : undefined;
    if (slow === this.slow) return;
    this.slow?.delete(this);
    this.slow = slow;
    slow?.add(this);
  }
}
