/**
 * A common limit of the output that waits until clients read it: responses, messages, pages of files. It is in memory, and
 * a client decides how long. The limit of one connection does not help against many of them.
 */
import { settings } from "../config/settings";
import { FREE_BYTES } from "./heldBytes";

/** For log lines: why a client that exceeds no limit of its own is disconnected. */
export const ALL_EXCEED = "those of all clients exceed general.maxUnreadBytes";

/** The waiting output of all clients; the client that has waited the longest comes first. */
class UnreadBytes {
  private readonly shares = new Map<UnreadShare, number>();
  private total = 0;

  get count(): number {
    return this.total;
  }

  set(share: UnreadShare, bytes: number): void {
    const limit = settings().general.maxUnreadBytes;
    const before = this.shares.get(share) ?? 0;
    // a single response may exceed the limit, but must not cost all others their place
    const now = bytes > FREE_BYTES ? Math.min(bytes, limit / 2) : 0;
    if (now === before) return;
    this.total += now - before;
    if (now === 0) this.shares.delete(share);
    else this.shares.set(share, now);
    if (now > before) this.disconnectSlowest(limit);
  }

  /** The one that waits the longest is neither reading nor about to. */
  private disconnectSlowest(limit: number): void {
    for (const share of this.shares.keys()) {
      if (this.total <= limit) return;
      share.disconnect();
    }
  }
}

const unreadBytes = new UnreadBytes();

/** How much output waits for all clients; that of clients with at most `FREE_BYTES` does not count. */
export function totalUnreadBytes(): number {
  return unreadBytes.count;
}

/** The output that waits for one client. */
export class UnreadShare {
  private bytes = 0;
  private isReleased = false;

  /** @param onLimit disconnects the client: all clients together exceed `general.maxUnreadBytes`, and this one is the slowest */
  constructor(private readonly onLimit: (bytes: number) => void) {}

  /** How many bytes wait. */
  get size(): number {
    return this.bytes;
  }

  /** So many bytes wait now. */
  update(bytes: number): void {
    if (this.isReleased) return;
    this.bytes = bytes;
    unreadBytes.set(this, bytes);
  }

  /** So many bytes more wait, or, if negative, less. */
  add(bytes: number): void {
    this.update(this.bytes + bytes);
  }

  /** The client has disconnected. */
  release(): void {
    this.update(0);
    this.isReleased = true;
  }

  disconnect(): void {
    const { bytes } = this;
    this.release();
    this.onLimit(bytes);
  }
}
