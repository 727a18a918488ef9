/**
 * The clients for which the server keeps something until they have sent or read more, and which of them is disconnected
 * when that is too much: a client decides how slow it is.
 */
import { networkOf } from "../utils/addresses";

/** The interval at which the progress of all is measured, and the shortest one when it is asked for, in ms. */
const MEASURE_MS = 1_000;
const MIN_MEASURE_MS = 100;

/** A client makes progress when it sends or reads this fraction of what is kept for it, within these limits in bytes. */
const PROGRESS_PART = 1 / 16;
const MIN_PROGRESS_BYTES = 16 * 1024;
const MAX_PROGRESS_BYTES = 256 * 1024;

/** For what clients send: without progress for so long, they have stalled, in ms. */
export const STALLED_SENDER_MS = 5_000;

/**
 * The same for what they read. The system takes output in bursts, of up to a third of a buffer of 4 MiB: of a client that reads
 * 60 KB/s there is no progress for 18 s.
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

/** Those for which something is kept at the moment. */
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
