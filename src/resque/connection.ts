/** The redis client of the queue, and the names of its keys. */
import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import * as os from "node:os";
import type { Redis } from "ioredis";
import { requireDatabase, shareTimeouts } from "../redis/commands";
import {
  clusterOf,
  disconnect,
  isCluster,
  isEmbedded,
  memoryOf,
} from "../redis/engine";
import { followFailover } from "../redis/failover";
import { systemEnvironment } from "./machine";
import { waitAtMost } from "../utils/promises";
import { MemoryStore } from "./store/memoryStore";
import { RedisStore } from "./store/redisStore";
import type { QueueStore } from "./store/store";
import type { ConnectionOptions } from "./types";

/** How long a command of a client of our own may take unless its options say otherwise, in ms. */
const COMMAND_MS = 10_000;
/** How long redis may take to end such a connection, in ms. */
const QUIT_MS = 1_000;

/** The name of this process's connections, by which others distinguish a busy process from a dead one. */
export const processToken = `ah:${os.hostname()}:${process.pid}:${randomBytes(4).toString("hex")}`;

const named = new WeakSet<object>();

export class Connection extends EventEmitter {
  redis: Redis = null!;
  /** The store of the queue's data. */
  store: QueueStore = null!;
  connected = false;
  /** Redis is embedded in this process: no scripts, and no other process can crash. */
  embedded = false;
  /** When the client last became ready, in ms of `performance.now()`: clocks jump. */
  readySince = performance.now();
  private prefix = "resque:";
  private owned = false;
  /** The owner of a shared client reports its events. */
  private readonly onError = (error: Error) => {
    if (this.owned) this.report(error);
  };
  private readonly onReady = () => {
    this.readySince = performance.now();
  };

  constructor(readonly options: ConnectionOptions = {}) {
    super();
  }

  /** @throws Error when redis does not respond */
  async connect(): Promise<void> {
    if (this.connected) return;
    if (this.options.store) {
      this.store = this.options.store;
      this.connected = true;
      return;
    }
    this.redis = this.options.redis ?? this.build();
    this.owned = this.options.redis === undefined;
    this.embedded = isEmbedded(this.redis);
    this.prefix = prefixOf(this.options.namespace, isCluster(this.redis));
    this.redis.on("error", this.onError);
    this.redis.on("ready", this.onReady);
    const store = this.openStore();
    try {
      await store.now(); // checks that it responds
    } catch (error) {
      store.close();
      this.stopListening();
      if (this.owned) disconnect(this.redis);
      throw error;
    }
    this.store = store;
    this.name();
    this.readySince = performance.now();
    this.connected = true;
  }

  async end(): Promise<void> {
    if (!this.connected) return;
    this.connected = false;
    if (this.options.store) return;
    this.store.close();
    this.stopListening();
    if (!this.owned) return;
    const { redis } = this;
    redis.on("error", () => undefined); // one that does not respond is left
    const quit = redis.quit().catch(() => undefined); // already closed
    await waitAtMost(QUIT_MS, quit, systemEnvironment);
    disconnect(redis);
  }

  private stopListening(): void {
    this.redis.off("error", this.onError);
    this.redis.off("ready", this.onReady);
  }

  /** A key of the queue; empty parts are skipped. */
  key(...parts: (string | number)[]): string {
    return (
      this.prefix +
      parts
        .map(String)
        .filter((part) => part.trim() !== "")
        .join(":")
    );
  }

  get namespacePrefix(): string {
    return this.prefix;
  }

  private openStore(): QueueStore {
    const { redis, prefix } = this;
    if (this.embedded)
      return memoryOf(
        redis,
        `queue:${prefix}`,
        (isFlushed) => new MemoryStore({ prefix, isFlushed }),
      );
    const { operationTimeout, scanCount } = this.options;
    return new RedisStore(redis, {
      prefix,
      operationTimeoutMs: operationTimeout,
      connectionName: processToken,
      scanCount,
    });
  }

  private report(error: Error): void {
    if (this.listenerCount("error") > 0) this.emit("error", error);
  }

  private build(): Redis {
    const { pkg = "ioredis", host, port, database, password } = this.options;
    const Client = (
      pkg === "ioredis-mock" ? require("ioredis-mock") : require("ioredis")
    ) as new (options: object) => Redis;
    const client = new Client({
      host: host ?? "127.0.0.1",
      port: port ?? 6379,
      db: database ?? 0,
      password,
      commandTimeout: this.options.operationTimeout ?? COMMAND_MS,
      ...this.options.options,
    });
    if (!isEmbedded(client)) {
      followFailover(client);
      shareTimeouts(client);
      requireDatabase(client);
    }
    client.setMaxListeners?.(0); // each worker that shares it listens
    return client;
  }

  private name(): void {
    const { redis } = this;
    if (this.embedded) return;
    const cluster = clusterOf(redis);
    if (!cluster) return this.nameAlways(redis);
    if (named.has(cluster)) return;
    named.add(cluster);
    for (const node of cluster.nodes("all")) this.nameAlways(node);
    cluster.on("+node", (node: Redis) => this.nameAlways(node));
  }

  /** A reconnected client has lost its name, so it is set again on each "ready". */
  private nameAlways(client: Redis): void {
    if (named.has(client)) return;
    named.add(client);
    const setName = () => {
      client.client("SETNAME", processToken).catch((error: Error) => {
        // a host that forbids it: leases still work; a connection that is lost again is named again
        if (error.name === "ReplyError") this.report(error);
      });
    };
    client.on("ready", setName);
    if (client.status === "ready") setName();
  }
}

function prefixOf(
  namespace: string | string[] | undefined,
  clustered: boolean,
): string {
  const parts = [namespace ?? (clustered ? "{resque}" : "resque")]
    .flat()
    .map((part) => part.trim())
    .filter((part) => part !== "");
  const joined = parts.join(":");
  if (clustered && !/\{[^}]+\}/.test(joined))
    throw new Error(
      `on a Redis Cluster the namespace of the queue needs a hash tag, e.g. {${joined}}`,
    );
  return joined === "" ? "" : `${joined}:`;
}
