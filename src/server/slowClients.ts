/**
 * The clients for which the server keeps something until they have sent or read more, and which of them is disconnected
 * when that is too much: a client decides how slow it is.
 */
import { networkOf } from "../utils/addresses";

/** A client that has made no progress for so long goes before all others, in ms. */
const STALLED_MS = 5_000;

/** The interval at which the progress of all is measured, and the shortest one when it is asked for, in ms. */
const MEASURE_MS = 1_000;
const MIN_MEASURE_MS = 100;

/** A client makes progress when it sends this fraction of the bytes held for it, and at least this many bytes. */
const PROGRESS_PART = 1 / 16;
const MIN_PROGRESS_BYTES = 16 * 1024;

/** An address whose clients have more than this part of the limit goes before others. */
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

  get isEmpty(): boolean {
    return this.marks.size === 0;
  }

  add(client: SlowClient): void {
    if (this.marks.has(client)) return;
    this.marks.set(client, {
      progress: client.progress(),
      time: performance.now(),
      network: undefined,
      hasMoved: false,
    });
    this.timer ??= setInterval(() => this.onTimer(), MEASURE_MS).unref();
  }

  delete(client: SlowClient): void {
    this.marks.delete(client);
  }

  /** The client to disconnect because all together exceed the limit. */
  slowest(limit: number): SlowClient | undefined {
    this.measure();
    const large = this.networkToRelieve(limit);
    return (
      this.stalled() ??
      this.firstOf(large, ({ hasMoved }) => !hasMoved) ??
      this.firstOf(large, () => true) ??
      this.first(({ hasMoved }) => !hasMoved) ??
      this.first(() => true)
    );
  }

  /**
   * The client to disconnect so that another one gets its place: it makes no progress, or its address has much more than
   * others. Undefined if there is no such client.
   */
  slowerThan(
    candidate: Pick<SlowClient, "address">,
    limit: number,
  ): SlowClient | undefined {
    this.measure();
    const large = this.networkToRelieve(limit);
    return (
      this.stalled(candidate) ??
      (large === networkFor(candidate)
        ? undefined
        : this.firstOf(large, () => true))
    );
  }

  private stalled(
    except?: Pick<SlowClient, "address">,
  ): SlowClient | undefined {
    const latest = performance.now() - STALLED_MS;
    for (const [client, { time }] of this.marks) {
      if (client === except) continue;
      return time <= latest ? client : undefined;
    }
    return undefined;
  }

  /** @param large undefined for no network */
  private firstOf(
    large: string | undefined,
    matches: (mark: Mark) => boolean,
  ): SlowClient | undefined {
    if (large === undefined) return undefined;
    return this.first((mark) => mark.network === large && matches(mark));
  }

  private first(matches: (mark: Mark) => boolean): SlowClient | undefined {
    for (const [client, mark] of this.marks) if (matches(mark)) return client;
    return undefined;
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
      const progress = client.progress();
      const needed = Math.max(MIN_PROGRESS_BYTES, size * PROGRESS_PART);
      if (progress - mark.progress < needed) continue;
      this.marks.delete(client);
      this.marks.set(client, { network, progress, time: now, hasMoved: true });
    }
    this.largest = undefined;
    for (const [network, bytes] of networks)
      if (bytes > (this.largest?.bytes ?? 0)) this.largest = { network, bytes };
  }
}

/** The network of a client's address; all clients of unix sockets are in one. */
function networkFor({ address }: Pick<SlowClient, "address">): string {
  return networkOf(address ?? "") ?? "";
}
