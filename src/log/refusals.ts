/**
 * Limits log lines about refused requests: a client that is refused again and again could fill the disk otherwise. The
 * first refusals of a client are logged one by one, later ones as one count per second.
 */
import { networkOf, plainAddress } from "../utils/addresses";
import { escapeFields } from "./escape";
import { log, type ActionheroLogLevel } from "./log";
import { outsideOfWork } from "./currentWork";

export interface RefusedClient {
  /** The type of its server. */
  type: string;
  /** The key of the counter: a connection or a socket, or an address (a string) for clients without either. */
  source: object | string;
  /** The address that the line of the count names. */
  to: string | undefined;
}

/** The name of what is refused, in the plural, and the level of its lines. */
export interface RefusalKind {
  what: "actions" | "bodies" | "connections" | "lines" | "requests";
  level: ActionheroLogLevel;
}

const INTERVAL_MS = 1_000;

/**
 * Refusals with a line of their own before the others are only counted: per client, and per address, which many clients
 * may share.
 */
const LINES_OF_CLIENT = 1;
const LINES_OF_ADDRESS = 10;

/** More clients than this share one count. */
const MAX_SOURCES = 1_000;
const OTHERS = "several clients";

interface Count {
  readonly client: RefusedClient;
  readonly kind: RefusalKind;
  /** Lines of single refusals so far. */
  lines: number;
  /** Refusals without a line since the last line of a count. */
  counted: number;
}

class RefusalCounts {
  private readonly counts = new Map<object | string, Count[]>();
  private timer: NodeJS.Timeout | undefined;

  /** Take note of a refusal; false when it is only counted. */
  isLogged(client: RefusedClient, kind: RefusalKind): boolean {
    const count = this.countOf(client, kind);
    const { source } = count.client;
    const max = typeof source === "string" ? LINES_OF_ADDRESS : LINES_OF_CLIENT;
    if (count.lines < max) {
      count.lines++;
      return true;
    }
    count.counted++;
    return false;
  }

  private countOf(client: RefusedClient, kind: RefusalKind): Count {
    const isKnown =
      this.counts.has(client.source) || this.counts.size < MAX_SOURCES;
    const owner = isKnown ? client : { ...client, source: OTHERS, to: OTHERS };
    let counts = this.counts.get(owner.source);
    if (!counts) this.counts.set(owner.source, (counts = []));
    let count = counts.find(
      (one) =>
        one.kind.what === kind.what &&
        one.kind.level === kind.level &&
        one.client.type === client.type,
    );
    if (!count)
      counts.push((count = { client: owner, kind, lines: 0, counted: 0 }));
    this.timer ??= outsideOfWork(() =>
      setInterval(() => this.report(), INTERVAL_MS).unref(),
    );
    return count;
  }

  /** Log the counts, and forget clients without a refusal since the last round. */
  private report(): void {
    for (const [source, counts] of this.counts) {
      const going = counts.filter(({ counted }) => counted > 0);
      if (going.length > 0) this.counts.set(source, going);
      else this.counts.delete(source);
      for (const count of going) writeCount(count);
    }
    if (this.counts.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }
}

function writeCount(count: Count): void {
  const { client, kind, counted } = count;
  count.counted = 0;
  log(
    `[server: ${client.type}] refused more ${kind.what} of a client`,
    kind.level,
    escapeFields({ to: client.to, count: counted }),
  );
}

const refusals = new RefusalCounts();

/**
 * Ask before writing the line of a refusal.
 * @returns false when it must not be written, and has been counted instead
 */
export function isRefusalLogged(
  client: RefusedClient,
  kind: RefusalKind,
): boolean {
  return refusals.isLogged(client, kind);
}

/**
 * Write the line of a connection that is refused or disconnected. Clients can open any number of connections, so these
 * are counted by IPv4 address, or by the /64 of an IPv6 address.
 * @param facts of the line; `level` is `warning` by default, and `to` the address of the socket
 */
export function logDisconnect(
  server: LoggingServer,
  { remoteAddress }: { remoteAddress?: string },
  message: string,
  facts: { level?: ActionheroLogLevel; to?: string; code?: number } = {},
): void {
  const to = plainAddress(remoteAddress);
  const { level = "warning", ...shown } = { to, ...facts };
  const source = networkOf(remoteAddress ?? "") ?? "";
  const client = { type: server.type, source, to };
  if (refusals.isLogged(client, { what: "connections", level }))
    server.log(message, level, shown);
}

/** The interval of lines about refusals that have one line for all clients, in ms. */
const LINE_PAUSE_MS = 10_000;

/** Counts refusals that have one line for all clients. */
export class RefusalLine {
  private refused = 0;
  private silentUntil = 0;

  /**
   * Count a refusal.
   * @returns how many there were since the last line, if it is time for another one; otherwise 0
   */
  count(): number {
    this.refused++;
    const now = performance.now();
    if (now < this.silentUntil) return 0;
    this.silentUntil = now + LINE_PAUSE_MS;
    const { refused } = this;
    this.refused = 0;
    return refused;
  }
}

/** A server, for the lines that name its type. */
interface LoggingServer {
  type: string;
  log(message: string, level: ActionheroLogLevel, data: object): void;
}
