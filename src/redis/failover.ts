/** Follows failovers: reconnects when a server refuses writes, or when another one was promoted. */
import type { Socket } from "node:net";
import type { Cluster, Redis } from "ioredis";
import { withTimeout } from "../utils/promises";
import { clusterOf, isCluster, isEmbedded, sameServer } from "./engine";

/** How often a Redis Cluster is asked which master has which slots, and how long the reply may take, in ms. */
const SLOTS_INTERVAL_MS = 1_000;
const SLOTS_WAIT_MS = 2_000;

/** The pause before a lost connection to a Sentinel is opened again, in ms. */
const SENTINEL_RETRY_MS = 10_000;

/** How long a Sentinel may take to respond, and it or its master to accept a connection, in ms. */
const SENTINEL_BOUNDS = {
  sentinelCommandTimeout: 1_000,
  connectTimeout: 2_000,
};

/** The channel on which Sentinels publish promotions: `<name> <old ip> <old port> <new ip> <new port>`. */
const SWITCHED = "+switch-master";

/** ioredis: reconnect and send the refused command again; it had no effect. */
const RECONNECT_AND_RESEND = 2;

/** The interval of new connections while refused commands no longer wait for one, in ms. */
const PROBE_INTERVAL_MS = 1_000;

/** The facts that a client detects about its server and its outage. */
export interface FailoverEvents {
  /** Also the next connection leads to a server that refuses writes. */
  refused(error: Error): void;
  /** The server accepts writes after that. */
  accepted(): void;
  /** Whether writes have been refused for so long that a refused command fails at once. */
  isRefusedForLong(): boolean;
}

/** By the options of their clients: ioredis calls the function on them, and copies it to duplicates. */
const followers = new WeakMap<object, Follower>();

/** Reconnect when the server refuses writes like a replica; options of the user are kept. */
export function followFailover(client: Redis, events?: FailoverEvents): void {
  const { options } = client;
  if ((options.reconnectOnError ??= whenReadOnly) !== whenReadOnly) return;
  followers.set(options, new Follower(client, events));
}

function whenReadOnly(this: unknown, error: Error): false | 2 {
  if (!isOfReplica(error.message)) return false;
  const follower = followers.get(this as object);
  if (follower && !follower.mayWait(error)) return false;
  return RECONNECT_AND_RESEND;
}

/**
 * A server that stays a replica is tried less and less often, as one without a connection. Refused commands wait for the next
 * connection, until writes have been refused for long: from then on they fail at once, while reads go on, and only a probe
 * looks for another server.
 */
class Follower {
  /** Connections in a row that refused a write. */
  private refusals = 0;
  /** The last of them. */
  private stream?: unknown;
  private isProbing = false;
  /** Opens the next connection. */
  private timer?: NodeJS.Timeout;

  constructor(
    private readonly client: Redis,
    private readonly events?: FailoverEvents,
  ) {
    const disconnect = client.disconnect.bind(client);
    // each refused command would disconnect, and each time listen to the socket once more
    client.disconnect = (reconnect) => {
      if (!reconnect || !this.isClosing()) disconnect(reconnect);
    };
    client.on("ready", () => {
      if (this.refusals > 0) void this.probe();
    });
    client.on("close", () => this.cancelTimer());
  }

  /** A command was refused. @returns whether it may wait for the next connection */
  mayWait(error: Error): boolean {
    const isLong = this.events?.isRefusedForLong() === true;
    if (this.client.stream !== this.stream) this.count(error, isLong);
    if (!isLong) return true;
    this.timer ??= setTimeout(
      () => this.client.disconnect(true),
      PROBE_INTERVAL_MS,
    ).unref();
    return false;
  }

  private count(error: Error, isLong: boolean): void {
    const { client } = this;
    this.stream = client.stream;
    // of ioredis, which has reset it for the new connection; not 0, for which projects of version 29 wait 5 s
    Reflect.set(client, "retryAttempts", isLong ? 1 : this.refusals);
    if (++this.refusals > 1) this.events?.refused(error);
  }

  private cancelTimer(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private isClosing(): boolean {
    return (
      this.client.stream === this.stream &&
      (this.stream as Socket | undefined)?.writableEnded === true
    );
  }

  /** It follows the commands that were refused, and is sent again with them. */
  private async probe(): Promise<void> {
    if (this.isProbing) return;
    this.isProbing = true;
    try {
      await tryToWrite(this.client);
      this.refusals = 0;
      this.events?.accepted();
    } catch {
      // still refused
    } finally {
      this.isProbing = false;
    }
  }
}

/** A key that does not exist. */
const PROBE = "actionhero:ah:probe";

/** A full redis accepts it, since it needs no memory. */
export async function tryToWrite(client: Redis): Promise<void> {
  await client.del(PROBE);
}

/** As `tryToWrite`, but a full redis refuses it, although it stores nothing. */
export async function tryToStore(client: Pick<Redis, "set">): Promise<void> {
  await client.set(PROBE, "", "PX", 1, "XX");
}

/**
 * The arguments of a client, so that it leaves a Sentinel that does not respond for the next one; options of the user
 * are kept. By default, ioredis waits forever for a silent Sentinel, and longer than a boot may take for an unreachable
 * host.
 */
export function boundSentinels(args: readonly unknown[]): unknown[] {
  return args.map((arg) => {
    const hasSentinels = (arg as { sentinels?: unknown } | null)?.sentinels;
    return hasSentinels ? { ...SENTINEL_BOUNDS, ...(arg as object) } : arg;
  });
}

/** Redis 6 and older name the script first. A replica without its master may refuse reads, too. */
function isOfReplica(message: string): boolean {
  return /(^|-)(READONLY|MASTERDOWN)/.test(message);
}

/**
 * Reconnect clients as soon as another master is promoted. ioredis itself does so only when the old master refuses a
 * write or closes the connection; one that was suspended would acknowledge writes and then lose them.
 * @returns ends it
 */
export function followPromotions(clients: readonly Redis[]): () => void {
  const real = clients.filter((client) => !isEmbedded(client));
  const clusters = real.flatMap((client) => clusterOf(client) ?? []);
  const behindSentinels = real.filter(
    (client) => !isCluster(client) && client.options.sentinels,
  );
  const ends = sameServer(behindSentinels).map(watchSentinels);
  if (clusters.length > 0) ends.push(watchSlots(clusters));
  return () => {
    for (const end of ends) end();
  };
}

/** Asked over an existing connection, which costs almost nothing; the refresh of ioredis opens a new one each time. */
function watchSlots(clusters: readonly Cluster[]): () => void {
  let known: string | undefined;
  let asked = 0;
  let isAsking = false;

  const ask = async () => {
    const masters = clusters[0]!.nodes("master");
    const master = masters[asked++ % masters.length];
    if (!master) return;
    isAsking = true;
    const slots = await withTimeout(
      SLOTS_WAIT_MS,
      master.cluster("SLOTS"),
      "AH_REDIS_TIMEOUT",
      () => "no reply",
    ).then(JSON.stringify, () => undefined);
    isAsking = false;
    // one that does not respond may be the one that was replaced
    const hasChanged = slots === undefined || (known ?? slots) !== slots;
    known = slots ?? known;
    if (hasChanged) for (const cluster of clusters) cluster.refreshSlotsCache();
  };
  const timer = setInterval(() => {
    if (!isAsking && clusters[0]!.status === "ready") void ask();
  }, SLOTS_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function watchSentinels(clients: Redis[]): () => void {
  const { options } = clients[0]!;
  const watchers = options.sentinels!.map(({ host, port, family }) => {
    const { Redis: Client } = require("ioredis") as typeof import("ioredis");
    const watcher = new Client({
      host,
      port,
      family: family ?? options.family,
      username: options.sentinelUsername,
      password: options.sentinelPassword ?? undefined,
      tls: options.sentinelTLS,
      enableReadyCheck: false,
      maxRetriesPerRequest: null,
      retryStrategy: () => SENTINEL_RETRY_MS,
    });
    // an unreachable Sentinel is no outage of redis
    watcher.on("error", () => undefined);
    watcher.on("message", (_channel, text: string) => {
      const [name, , , ip, newPort] = text.split(" ");
      if (name !== options.name) return;
      for (const client of clients)
        if (!isConnectedTo(client, ip!, Number(newPort)))
          client.disconnect(true);
    });
    watcher.subscribe(SWITCHED).catch(() => undefined); // given up by the end
    return watcher;
  });
  return () => {
    for (const watcher of watchers) watcher.disconnect();
  };
}

/** Every Sentinel publishes the promotion. A client that reconnected may have asked one that did not know it yet. */
function isConnectedTo({ stream }: Redis, ip: string, port: number): boolean {
  const peer = stream as { remoteAddress?: string; remotePort?: number };
  return peer?.remoteAddress === ip && peer.remotePort === port;
}
