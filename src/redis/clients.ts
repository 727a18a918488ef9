/** Builds, checks and closes the redis connections of this process: `client`, `subscriber` and `tasks`. */
import type { Cluster, Command, Redis } from "ioredis";
import { api } from "../api";
import type { RedisEntry } from "../config/settingTypes";
import { settings } from "../config/settings";
import { ActionheroError, toError } from "../errors";
import { within } from "../utils/promises";
import { timerMs } from "../utils/timers";
import { commandTimedOut, markFailures } from "./away";
import { addressOf, ConnectionLog } from "./connectionLog";
import { disconnect } from "./disconnect";
import { isCluster, isEmbedded } from "./engine";
import { Patience } from "./patience";

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
  const timeout = settings().redis.connectTimeout;
  const patience = new Patience(timeout);
  try {
    for (const name of NAMES) {
      const client = build(name, connectionLog);
      clients[name] = client;
      await reach(name, client, patience, timeout);
    }
  } catch (error) {
    for (const client of Object.values(clients)) disconnect(client);
    throw error;
  }
}

function build(name: string, connectionLog: ConnectionLog): Redis {
  const { konstructor, args, buildNew } = settings().redis[
    name as (typeof NAMES)[number]
  ] as RedisEntry;

  if (buildNew !== true) {
    const client = (konstructor as (args: unknown) => Redis)(args);
    if (!isEmbedded(client)) markFailures(client);
    connectionLog.followErrors(name, client);
    return client;
  }
  const Konstructor = konstructor as new (...args: unknown[]) => Redis;
  const client = new Konstructor(...(args ?? []));
  if (!isEmbedded(client)) followPromotions(client, args ?? []);
  boundWaits(client);
  connectionLog.follow(name, client);
  return client;
}

/** Without these, an unresponsive redis would block its callers forever; options of the user are kept. */
function boundWaits(client: Redis): void {
  if (isEmbedded(client)) return;
  markFailures(client);
  if (!isCluster(client)) {
    followFailover(client);
    return bound(client);
  }
  // a Cluster creates its connections from then on
  client.on("+node", bound);
}

function bound(client: Redis): void {
  const { options } = client;
  options.commandTimeout ??= operationTimeout();
  options.keepAlive ||= KEEP_ALIVE_MS;
  shareTimeouts(client);
}

/** Wait for a response; the timeout allows several attempts, because redis may be starting as well. */
async function reach(
  name: string,
  client: Redis,
  patience: Patience,
  timeout: number,
): Promise<void> {
  let lastError: Error | undefined;
  const remember = (error: Error) => (lastError = error);
  client.on("error", remember);
  const describe = (reason?: Error) =>
    `cannot reach redis (connection \`${name}\`${at(client)}): ` +
    (reason ? reasonOf(reason) : `no answer within ${timeout} ms`);
  try {
    await patience.within(
      answerOf(client, name === "subscriber" ? "ping" : "get"),
      () => new ActionheroError("AH_REDIS_CONNECT", describe(lastError)),
    );
  } catch (error) {
    if ((error as ActionheroError).code === "AH_REDIS_CONNECT") throw error;
    // a reply of redis itself is more informative than the next error of an unauthorized connection
    const isAnswer = (error as Error).name === "ReplyError";
    const reason = isAnswer ? toError(error) : (lastError ?? toError(error));
    throw new ActionheroError("AH_REDIS_CONNECT", describe(reason), {
      cause: error,
    });
  } finally {
    client.off("error", remember);
  }
}

/** A command that timed out is sent again: the caller limits the total time. */
async function answerOf(client: Redis, command: "ping" | "get") {
  for (;;) {
    try {
      return command === "ping"
        ? await client.ping()
        : await client.get("_test");
    } catch (error) {
      if (toError(error).message !== "Command timed out") throw error;
    }
  }
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
    await within(
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

// --- Follows failovers: behind one address, of a Sentinel, and of a Redis Cluster.

/** ioredis: reconnect and send the refused command again; it had no effect. */
const RECONNECT_AND_RESEND = 2;

/** How often a Cluster is asked which master has which slots, in ms. ioredis itself asks only after an error. */
const SLOTS_REFRESH_MS = 1_000;

/** Reconnect when the server refuses writes like a replica; options of the user are kept. */
export function followFailover(client: Redis): void {
  client.options.reconnectOnError ??= (error) =>
    isReadOnly(error.message) && RECONNECT_AND_RESEND;
}

/**
 * Leave a master as soon as another one is promoted. A client that stays with a frozen or demoted one until that refuses
 * it loses what it writes there meanwhile.
 * @param args of the constructor; what they say about it is kept
 */
function followPromotions(client: Redis, args: readonly unknown[]): void {
  if (isCluster(client)) {
    const { options } = client as unknown as Cluster;
    options.slotsRefreshInterval ??= SLOTS_REFRESH_MS;
    return;
  }
  const isDecided = args.some(
    (arg) =>
      typeof arg === "object" && arg !== null && "failoverDetector" in arg,
  );
  // ioredis reads this after it has found the first master
  if (client.options.sentinels && !isDecided)
    client.options.failoverDetector = true;
}

/** Redis 6 and older name the script first. */
function isReadOnly(message: string): boolean {
  return /^READONLY|-READONLY/.test(message);
}

// --- Times out commands without a timer per command.

/** The number of stored commands at which completed ones are removed. */
const MIN_LIMIT = 64;

/**
 * Have the commands of a client share one timer for its `commandTimeout`. ioredis starts and clears one for each, which
 * costs a twentieth of a round trip (bench/cache.ts, 1 in flight). Duplicates of this client still do that.
 *
 * A command that timed out is no longer sent: ioredis would send it when a connection is available, or again over
 * the next one, and an operation that was reported as failed would take effect. Commands already sent cannot be
 * recalled.
 */
export function shareTimeouts(client: Redis): void {
  const deadlines = new Deadlines();
  client.on("end", () => deadlines.clear());
  // ioredis calls it for a command that has a timeout
  const setTimeout = function (this: Command, ms: number) {
    deadlines.add(this, ms);
  };
  const send = client.sendCommand.bind(client);
  client.sendCommand = (command, stream) => {
    if (deadlines.isGivenUp(command)) return command.promise;
    // another version of ioredis may not expose which commands are complete
    if (command.isResolved === false) command.setTimeout = setTimeout;
    return send(command, stream);
  };
}

interface Deadline {
  command: Command;
  /** ms since the process began. */
  due: number;
}

class Deadlines {
  /** Commands that timed out; empty on most connections. */
  private givenUp?: WeakSet<Command>;
  private pending: Deadline[] = [];
  private limit = MIN_LIMIT;
  private timer: NodeJS.Timeout | undefined;

  add(command: Command, ms: number): void {
    this.pending.push({ command, due: performance.now() + ms });
    if (this.pending.length >= this.limit) this.forgetAnswered();
    if (!this.timer) this.wake(ms);
  }

  isGivenUp(command: Command): boolean {
    return this.givenUp !== undefined && this.givenUp.has(command);
  }

  clear(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.pending = [];
  }

  giveUp(): void {
    this.timer = undefined;
    const now = performance.now();
    const left: Deadline[] = [];
    let next = Infinity;
    for (const deadline of this.pending) {
      const { command, due } = deadline;
      if (command.isResolved) continue;
      if (due <= now) {
        this.givenUp ??= new WeakSet();
        this.givenUp.add(command);
        command.reject(commandTimedOut());
        continue;
      }
      left.push(deadline);
      next = Math.min(next, due);
    }
    this.keep(left);
    if (next < Infinity) this.wake(next - now);
  }

  /** Unreferenced: the connection keeps the process alive. */
  private wake(ms: number): void {
    this.timer = setTimeout(later, timerMs(ms), this).unref();
  }

  /** From then on, at least half of the stored commands are pending or recently timed out. */
  private forgetAnswered(): void {
    this.keep(this.pending.filter(({ command }) => !command.isResolved));
  }

  /**
   * The limit also shrinks again: otherwise, after a burst, the arguments of that many commands would stay in memory.
   */
  private keep(pending: Deadline[]): void {
    this.pending = pending;
    this.limit = Math.max(MIN_LIMIT, pending.length * 2);
  }
}

/** A reply may have arrived already: after a pause of this process, timers fire before received data. */
function later(deadlines: Deadlines): void {
  setImmediate(() => deadlines.giveUp());
}
