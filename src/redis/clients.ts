/** Builds, checks and closes the redis connections of this process: `client`, `subscriber` and `tasks`. */
import type { Redis } from "ioredis";
import { api } from "../api";
import type { RedisEntry } from "../config/types";
import { settings } from "../config/settings";
import { withTimeout, sleep } from "../utils/promises";
import {
  isDenied,
  isRefusedDatabase,
  markFailures,
  markIfAway,
  requireDatabase,
  shareTimeouts,
} from "./commands";
import {
  ConnectionLog,
  isRefusedForLong,
  noteRefusal,
  noteWriteAccepted,
} from "./outages";
import {
  addressOf,
  disconnect,
  isCluster,
  isEmbedded,
  clusterOf,
  reopen,
} from "./engine";
import { boundSentinels, followFailover, tryToWrite } from "./failover";
import { ActionheroError, isRedisAway, toError } from "../errors";
import * as path from "node:path";
import { projectRoot } from "../config/config";
import { isNode } from "../environment/ownRequire";

/** The connections, by the names that `config.redis` gives them. */
export interface RedisClients {
  [name: string]: Redis;
  /** Commands and publishing. */
  client: Redis;
  /** Subscriptions only. */
  subscriber: Redis;
  /** The task queue. */
  tasks: Redis;
}

const NAMES = ["client", "subscriber", "tasks"] as const;
/** Idle time after which the operating system probes the peer. */
const KEEP_ALIVE_MS = 15_000;

/** How long ioredis waits at most, by default, before it asks again whether redis has loaded its data, in ms. */
const LOADING_WAIT_MS = 10_000;
/** How long our connections wait at most, in ms: the time that redis estimates is usually too long. */
const LOADING_RETRY_MS = 500;
/** How long one operation on redis may take, in ms. */
export function operationTimeout(): number {
  return settings().redis.operationTimeout;
}

/**
 * The client for commands.
 * @param user the feature that needs it, for the error
 */
export function commandClient(user: string): Redis {
  const client = api.redis?.clients.client;
  if (!client) throw new Error(`redis not connected, ${user} cannot be used`);
  return client;
}

/**
 * Create all connections and wait until they respond.
 * @throws ActionheroError AH_REDIS_CONNECT after `config.redis.connectTimeout` ms, or at once when redis refuses us
 */
export async function connectClients(clients: RedisClients): Promise<void> {
  const connectionLog = new ConnectionLog(operationTimeout());
  const patience = new Patience(settings().redis.connectTimeout);
  deferLua();
  try {
    for (const name of NAMES) {
      const client = build(name);
      clients[name] = client;
      connectionLog.followErrors(name, client);
      const isOurs = settings().redis[name]?.buildNew === true;
      if (isOurs) connectionLog.logEvents(name, client);
      await reach(name, client, patience);
      if (isOurs) connectionLog.follow(name, client);
    }
  } catch (error) {
    for (const client of Object.values(clients)) disconnect(client);
    throw error;
  }
}

function build(name: string): Redis {
  const { konstructor, args, buildNew } = settings().redis[
    name as (typeof NAMES)[number]
  ] as RedisEntry;

  if (buildNew !== true) {
    const client = (konstructor as (args: unknown) => Redis)(args);
    if (!isEmbedded(client)) {
      markFailures(client);
      requireDatabase(client);
    }
    return client;
  }
  const Konstructor = konstructor as new (...args: unknown[]) => Redis;
  const client = new Konstructor(...boundSentinels(args ?? []));
  boundWaits(client);
  return client;
}

/** Without these, an unresponsive redis would block its callers forever; options of the user are kept. */
function boundWaits(client: Redis): void {
  if (isEmbedded(client)) return;
  markFailures(client);
  if (!isCluster(client)) {
    followFailover(client, {
      refused: (error) => noteRefusal(client, error),
      accepted: () => noteWriteAccepted(client),
      isRefusedForLong: () => isRefusedForLong(client),
    });
    bound(client);
    if (client.options.db) client.options.enableReadyCheck = true;
    return requireDatabase(client);
  }
  // a Cluster creates its connections from then on
  client.on("+node", bound);
}

function bound(client: Redis): void {
  const { options } = client;
  options.commandTimeout ??= operationTimeout();
  options.keepAlive ||= KEEP_ALIVE_MS;
  if (options.maxLoadingRetryTime === LOADING_WAIT_MS)
    options.maxLoadingRetryTime = LOADING_RETRY_MS;
  shareTimeouts(client);
}

/** Disconnect from redis; connections that do not respond within `config.redis.stopTimeout` ms are closed. */
export async function closeClients(clients: RedisClients): Promise<void> {
  const grace = settings().redis.stopTimeout;
  await Promise.all(Object.values(clients).map((one) => close(one, grace)));
}

async function close(client: Redis, grace: number): Promise<void> {
  if (client.status === "end") return;
  if (typeof client.quit !== "function") return disconnect(client);
  try {
    const leave = Promise.resolve(client.quit());
    await withTimeout(
      grace,
      leave,
      "AH_REDIS_TIMEOUT",
      () => "redis did not close the connection",
    );
    if (client.status === "reconnecting") disconnect(client); // there is no connection to quit
  } catch {
    disconnect(client);
  }
}

// --- The wait at boot until redis can be used. A connection without a response is replaced, because another server may
// respond.

/** The interval of attempts while redis responds but cannot be used, in ms. */
const RETRY_MS = 200;

/** How long one connection may stay without a response, in ms; a fifth of `connectTimeout` if that is longer. */
const MIN_ATTEMPT_MS = 1_000;

const NO_REPLY = "no reply to this attempt";
const SILENT = [NO_REPLY, "Command timed out"];

/**
 * Wait until redis responds, and accepts writes of `client` and `tasks`: for some seconds after a failover it refuses them
 * (`NOREPLICAS`), and the first write of an initializer would fail.
 * @param patience limits the total time
 * @throws ActionheroError AH_REDIS_CONNECT after that time, or at once when redis refuses us
 */
async function reach(
  name: string,
  client: Redis,
  patience: Patience,
): Promise<void> {
  const attempts = new Attempts(name, client, patience.limitMs / 5);
  const stopListening = attempts.listen();
  const describe = (reason?: Error) =>
    `cannot reach redis (connection \`${name}\`${at(client)}): ` +
    (reason ? reasonOf(reason) : `no reply within ${patience.limitMs} ms`);
  try {
    await patience.withTimeout(
      attempts.untilUsable(),
      () =>
        new ActionheroError("AH_REDIS_CONNECT", describe(attempts.lastError)),
    );
  } catch (error) {
    if ((error as ActionheroError).code === "AH_REDIS_CONNECT") throw error;
    // a reply of redis itself is more informative than the next error of an unauthorized connection
    const reason = isReply(error) ? error : (attempts.lastError ?? error);
    throw new ActionheroError("AH_REDIS_CONNECT", describe(toError(reason)), {
      cause: error,
    });
  } finally {
    stopListening();
  }
}

class Attempts {
  /** Why redis cannot be used. */
  lastError: Error | undefined = undefined;
  private isOver = false;
  private readonly attemptMs: number;
  /** When the present connection was opened, in ms of the monotonic clock. */
  private openedAt = performance.now();

  constructor(
    private readonly name: string,
    private readonly client: Redis,
    attemptMs: number,
  ) {
    this.attemptMs = Math.max(MIN_ATTEMPT_MS, attemptMs);
  }

  /** @returns ends listening and the attempts */
  listen(): () => void {
    const { client } = this;
    const remember = (error: Error) => (this.lastError = error);
    client.on("error", remember);
    // a command that a replica refuses is sent again, so its error is told here only
    const { options } = client;
    const decide = options?.reconnectOnError;
    if (decide)
      options.reconnectOnError = (error) => {
        remember(error);
        return decide.call(options, error);
      };
    return () => {
      this.isOver = true;
      client.off("error", remember);
      if (decide) options.reconnectOnError = decide;
    };
  }

  /** @throws an error that another attempt would not change */
  async untilUsable(): Promise<void> {
    while (!this.isOver) {
      try {
        return await withTimeout(
          this.attemptMs,
          this.tryOnce(),
          "AH_REDIS_TIMEOUT",
          () => NO_REPLY,
        );
      } catch (error) {
        await this.beforeNext(toError(error));
      }
    }
  }

  private async tryOnce(): Promise<void> {
    const { client, name } = this;
    const cluster = clusterOf(client);
    if (name === "subscriber") {
      // a Redis Cluster has another connection for subscriptions than for commands
      if (cluster) await client.subscribe(settings().general.channel);
      else await client.ping();
      return;
    }
    if (!cluster) await selectAgain(client);
    await client.get("_test");
    await requireWrites(client);
    // the initializers use keys of all of them
    if (cluster) await Promise.all(cluster.nodes("master").map(ping));
  }

  private async beforeNext(error: Error): Promise<void> {
    const { client } = this;
    if (isRefusedDatabase(error)) throw error;
    if (SILENT.includes(error.message)) {
      if (performance.now() - this.openedAt < this.attemptMs) return;
      reopen(client);
      this.openedAt = performance.now();
      return;
    }
    // a wrong password or a missing right stays
    if (!isRedisAway(error) || isDenied(error)) throw error;
    if (client.status === "end") throw error;
    if (isReply(error) || !this.lastError) this.lastError = error;
    await sleep(RETRY_MS);
    // ioredis forgets a master of a Cluster that refuses connections
    if (clusterOf(client) && !isReply(error)) reopen(client);
  }
}

/** Only a refusal that ends by itself counts, not one of an ACL. */
async function requireWrites(client: Redis): Promise<void> {
  try {
    await tryToWrite(client);
  } catch (error) {
    if (isRedisAway(error)) throw error;
  }
}

/** A client that a project made may have been refused its database before it was known here. */
async function selectAgain(client: Redis): Promise<void> {
  const { condition } = client as { condition?: { select?: number } | null };
  if (condition?.select) await client.select(condition.select);
}

async function ping(node: Redis): Promise<void> {
  try {
    await node.ping();
  } catch (error) {
    throw markIfAway(toError(error));
  }
}

function isReply(error: unknown): boolean {
  return (error as Error).name === "ReplyError";
}

function at(client: Redis): string {
  const address = addressOf(client);
  return address === undefined ? "" : ` at ${address}`;
}

/** Errors that gather several (one per address tried) have no text of their own. */
function reasonOf(error: Error): string {
  const { errors } = error as Error & { errors?: Error[] };
  return error.message || errors?.[0]?.message || error.name;
}

/**
 * A time limit shared by several waits, which excludes the time in which this process was suspended: no reply could be
 * received meanwhile.
 */
class Patience {
  private readonly stepMs: number;
  private steps: number;

  constructor(readonly limitMs: number) {
    this.stepMs = Math.max(1, Math.min(100, limitMs / 10));
    this.steps = Math.ceil(limitMs / this.stepMs);
  }

  /** The outcome of `work`, or a rejection with `failure` when the limit is reached. */
  async withTimeout<T>(work: Promise<T>, failure: () => Error): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setInterval(() => {
        if (--this.steps <= 0) reject(failure());
      }, this.stepMs);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearInterval(timer);
    }
  }
}

/**
 * Defers the Lua interpreter of ioredis-mock: its 40 files take a tenth of a start and some MB (bench/boot.ts), and the
 * framework runs plain commands there instead of scripts. A project's first script loads it.
 */
import Module = require("node:module");

const ENGINE = "ioredis-mock";
const INTERPRETER = ["fengari", "fengari-interop"];

/** Before the engine is loaded, whichever copy a configuration uses. */
function deferLua(): void {
  if (!isNode()) return;
  for (const base of [path.join(projectRoot, "package.json"), __filename])
    deferBelow(base);
}

function deferBelow(base: string): void {
  try {
    const engine = Module.createRequire(base).resolve(ENGINE);
    if (require.cache[engine]) return;
    for (const name of INTERPRETER)
      putStandIn(Module.createRequire(engine), name);
  } catch {
    // there is no engine, or another version of it, which loads what it needs
  }
}

function putStandIn(engineRequire: NodeJS.Require, name: string): void {
  const file = engineRequire.resolve(name);
  const { cache } = engineRequire;
  if (cache[file]) return;
  let loaded: object | undefined;
  const load = () => {
    if (cache[file] === standIn) delete cache[file];
    return (loaded ??= engineRequire(name) as object);
  };
  const standIn = new Module(file);
  standIn.filename = file;
  standIn.exports = deferred(load, (key) =>
    deferred(() => (load() as Record<string, object>)[key]!, undefined),
  );
  standIn.loaded = true;
  cache[file] = standIn;
}

/**
 * Stands for an object or a function, which is loaded by its first use.
 * @param member a property of it; undefined: the actual one
 */
function deferred(
  load: () => object,
  member: ((key: string) => unknown) | undefined,
): object {
  return new Proxy(() => undefined, {
    get(_target, key) {
      if (typeof key === "symbol" || key === "__esModule") return undefined;
      return member ? member(key) : (load() as Record<string, unknown>)[key];
    },
    apply: (_target, self, args: unknown[]) =>
      Reflect.apply(load() as () => unknown, self, args) as unknown,
  });
}
