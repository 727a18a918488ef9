/**
 * A common limit of client data in memory (bodies, messages, lines and their params), and the order in
 * which clients give way beyond it.
 */
import { settings } from "../config/settings";
import { log } from "../log/log";
import { RefusalLine } from "../log/refusals";
import { networkOf } from "../utils/addresses";

// --- Ranks slow clients by progress, to choose which one to disconnect when a common limit is exceeded.

/** The interval at which the progress of all clients is measured, and the shortest one on demand, in ms. */
const MEASURE_MS = 1_000;
const MIN_MEASURE_MS = 100;

/** A client makes progress when it sends or reads this fraction of what is kept for it, within these limits in bytes. */
const PROGRESS_PART = 1 / 16;
const MIN_PROGRESS_BYTES = 16 * 1024;
const MAX_PROGRESS_BYTES = 256 * 1024;

/** A client that sends a body or message has stalled after this time without progress, in ms: it is disconnected first. */
export const STALLED_SENDER_MS = 5_000;

/**
 * How long a client that reads its output may make no progress, in ms. The system takes output in bursts of up to a third of
 * its buffer of 4 MiB, so a client that reads 60 KB/s makes no progress for 23 s.
 */
export const STALLED_READER_MS = 30_000;

/** An address whose clients have more than this part of the limit gives way to all others. */
const ADDRESS_PART = 1 / 4;

export interface SlowClient {
  /** How many bytes are kept for it. */
  readonly size: number;
  /** The address that counts for it; undefined for that of a unix socket. */
  readonly address: string | undefined;
  /** How many bytes it has sent, or read, so far. */
  progress(): number;
  /** Disconnect it, or refuse its request: nothing is kept for it any more when this returns. */
  disconnect(): void;
}

interface Mark {
  /** The progress at that time. */
  progress: number;
  time: number;
  /** Undefined until it is measured. */
  network: string | undefined;
  /** Its size when it was measured. */
  size: number;
  /** It has made progress since it was added. */
  hasMoved: boolean;
}

/** Clients whose data is held, the one without progress for the longest time first. */
export class SlowClients {
  /** The one without progress for the longest time comes first. */
  private readonly marks = new Map<SlowClient, Mark>();
  private measuredAt = -Infinity;
  private timer: NodeJS.Timeout | undefined;
  /** The network with most bytes, when it was measured. */
  private largest: { network: string; bytes: number } | undefined;

  /** @param stalledMs a client without progress for so long goes before those of its network that make some */
  constructor(private readonly stalledMs: number) {}

  get count(): number {
    return this.marks.size;
  }

  add(client: SlowClient): void {
    if (this.marks.has(client)) return;
    this.marks.set(client, {
      progress: client.progress(),
      time: performance.now(),
      network: undefined,
      size: 0,
      hasMoved: false,
    });
    this.timer ??= setInterval(() => this.onTimer(), MEASURE_MS).unref();
  }

  delete(client: SlowClient): void {
    const mark = this.marks.get(client);
    if (mark === undefined) return;
    this.marks.delete(client);
    const { largest } = this;
    if (largest && largest.network === mark.network) largest.bytes -= mark.size;
  }

  /**
   * The client to disconnect because all together exceed the limit: of the address that has a large part of it, if there
   * is one.
   */
  slowest(limit: number): SlowClient | undefined {
    this.measure();
    const large = this.networkToRelieve(limit);
    return this.slowestOf(large) ?? this.slowestOf(undefined);
  }

  /**
   * The client to disconnect so that another one gets its place: of the address that has a large part of the limit; else
   * one that makes no progress. A client of such an address can take the place of its own only.
   */
  slowerThan(
    candidate: Pick<SlowClient, "address">,
    limit: number,
  ): SlowClient | undefined {
    this.measure();
    const large = this.networkToRelieve(limit);
    if (large !== undefined && large !== networkFor(candidate))
      return this.slowestOf(large);
    return this.first(
      large,
      (mark, client) => client !== candidate && this.isStalled(mark),
    );
  }

  /** @param network undefined for all */
  private slowestOf(network: string | undefined): SlowClient | undefined {
    return (
      this.first(network, (mark) => !mark.hasMoved || this.isStalled(mark)) ??
      this.first(network, () => true)
    );
  }

  private first(
    network: string | undefined,
    matches: (mark: Mark, client: SlowClient) => boolean,
  ): SlowClient | undefined {
    for (const [client, mark] of this.marks) {
      const isIn = network === undefined || mark.network === network;
      if (isIn && matches(mark, client)) return client;
    }
    return undefined;
  }

  private isStalled({ time }: Mark): boolean {
    return time <= performance.now() - this.stalledMs;
  }

  /** The network whose clients have a large part of the limit. */
  private networkToRelieve(limit: number): string | undefined {
    const { network, bytes = 0 } = this.largest ?? {};
    return bytes > limit * ADDRESS_PART ? network : undefined;
  }

  private onTimer(): void {
    if (this.marks.size > 0) return this.measure();
    clearInterval(this.timer);
    this.timer = undefined;
    this.largest = undefined;
  }

  private measure(): void {
    const now = performance.now();
    if (now - this.measuredAt < MIN_MEASURE_MS) return;
    this.measuredAt = now;
    const networks = new Map<string, number>();
    for (const [client, mark] of [...this.marks]) {
      const { size } = client;
      const network = (mark.network ??= networkFor(client));
      networks.set(network, (networks.get(network) ?? 0) + size);
      mark.size = size;
      const progress = client.progress();
      if (progress - mark.progress < neededProgress(size)) continue;
      this.marks.delete(client);
      this.marks.set(client, {
        network,
        size,
        progress,
        time: now,
        hasMoved: true,
      });
    }
    this.largest = undefined;
    for (const [network, bytes] of networks)
      if (bytes > (this.largest?.bytes ?? 0)) this.largest = { network, bytes };
  }
}

function neededProgress(size: number): number {
  const part = Math.max(MIN_PROGRESS_BYTES, size * PROGRESS_PART);
  return Math.min(part, MAX_PROGRESS_BYTES);
}

/** The network of a client's address; all clients of unix sockets are in one. */
function networkFor({ address }: Pick<SlowClient, "address">): string {
  return networkOf(address ?? "") ?? "";
}

// --- The common limits.

/** Requests and connections that hold at most this many bytes are small: they pass while large ones fill the limit. */
export const FREE_BYTES = 16 * 1024;

/** The error for a request beyond the limit. */
export const MEMORY_LIMIT_TEXT =
  "the server holds too much at the moment, try again later";

/** The bytes held for all clients of this process: one instance, because they share one heap. */
class HeldBytes {
  /** Bytes of holders with more than `FREE_BYTES`. */
  large = 0;
  /** Bytes of small holders, which have a separate limit of the same size. */
  small = 0;
  /** Holders of a body or message that the client has not sent completely. */
  private readonly slowLarge = new SlowClients(STALLED_SENDER_MS);
  private readonly slowSmall = new SlowClients(STALLED_SENDER_MS);
  private readonly refusals = new RefusalLine();

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
    const count = this.refusals.count();
    if (count === 0) return;
    log(
      `refusing requests: clients make the server hold ${this.large} bytes in large requests and ${this.small} in small ones (general.maxHeldBytes is ${settings().general.maxHeldBytes} for each)`,
      "warning",
      { count },
    );
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

  /** Whether bytes can be taken now; if not, the refusal is logged. Slow clients are refused for them. */
  hasRoom(bytes: number): boolean {
    if (this.isReleased) return false;
    const wanted = this.held + bytes;
    if (heldBytes.hasRoom(this.held, wanted)) return true;
    if (heldBytes.makeRoom(this, wanted)) return true;
    heldBytes.refuse();
    return false;
  }

  /**
   * Whether there may be room for bytes when they have arrived: an announced Content-Length never disconnects
   * other clients.
   */
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
