/**
 * Outages of redis. One is logged when it begins and when it ends, regardless of the number of attempts and of who
 * detects it. Some steps of the boot and of the stop may fail in one.
 */
import type { Redis } from "ioredis";
import { errorText, isRedisAway, toError } from "../errors";
import { log, type ActionheroLogLevel } from "../log/log";
import { isDenied, isRefusedWrite, isFull } from "./commands";
import { addressOf } from "./engine";
import { withTimeout } from "../utils/promises";

/** All connections to a Sentinel or a Cluster share it, so that one outage of it is one line. */
const NO_ONE_ADDRESS = "several addresses";

/** A connection that is lost for longer is an outage, whether or not its next attempts fail, in ms. */
const REOPEN_MS = 500;

/** The log text of each event of a connection, at `debug`. */
const EVENTS = [
  ["connect", "connected"],
  ["close", "closed"],
  ["end", "ended"],
  ["reconnecting", "reconnecting"],
  ["ready", "ready"],
] as const;

interface Outage {
  /** The connections that are still lost. */
  away: Set<string>;
  /** When it was logged, in ms of the monotonic clock. */
  since?: number;
  /** Redis responded, but refused a write, e.g. because its disk is full, or our user: only a write shows the end of the outage. */
  isRefusal?: boolean;
  /** Reports that connections are lost. */
  closed?: NodeJS.Timeout;
}

/** Follows the connections of one start of the server. */
export class ConnectionLog {
  /** The outages by address. */
  private readonly outages = new Map<string, Outage>();
  /** Until when operations may fail that began before the last outage ended, by address, in ms of the monotonic clock. */
  private readonly lateUntil = new Map<string, number>();
  /** The addresses whose clock differs from that of this host. */
  private readonly skewed = new Set<string>();

  /** @param timeoutMs the timeout of an operation */
  constructor(private readonly timeoutMs: number) {}

  /**
   * Follow a connection that is in use. Before that, the boot replaces connections itself, and its error reports a failure.
   * @param name the name of the connection in `config.redis`
   */
  follow(name: string, client: Redis): void {
    const address = addressOf(client) ?? NO_ONE_ADDRESS;

    client.on("close", () => {
      const outage = this.outageOf(address);
      outage.away.add(name);
      outage.closed ??= setTimeout(() => {
        if (outage.since === undefined)
          this.reportOutage(address, `Redis connection \`${name}\` is lost`);
      }, REOPEN_MS).unref();
    });
    client.on("end", () => {
      const outage = this.outages.get(address);
      outage?.away.delete(name);
      if (outage?.away.size === 0) this.forget(address);
    });
    client.on("ready", () => {
      this.outages.get(address)?.away.delete(name);
      this.endOutage(address);
    });
    this.endOutage(address);
  }

  /** Log the events of a connection. */
  logEvents(name: string, client: Redis): void {
    for (const [event, text] of EVENTS)
      client.on(event, () =>
        log(`Redis connection \`${name}\` ${text}`, "debug"),
      );
  }

  /** For clients that were created elsewhere: their owner handles the other events. */
  followErrors(name: string, client: Redis): void {
    const address = addressOf(client) ?? NO_ONE_ADDRESS;
    followed.set(client, { connectionLog: this, address });
    client.on("error", (error: Error) =>
      // each attempt to reconnect fails with its own error
      this.reportOutage(address, `Redis connection \`${name}\` error`, error),
    );
  }

  /** Report a sign that redis is unavailable; the first one is an alert. */
  reportOutage(address: string, message: string, error?: Error): void {
    const outage = this.outageOf(address);
    const severity = outage.since === undefined ? "alert" : "debug";
    outage.since ??= performance.now();
    outage.isRefusal ||=
      error !== undefined && (isRefusedWrite(error) || isDenied(error));
    log(message, severity, error && { error: errorText(error) });
  }

  /**
   * As `reportOutage`, for an operation that failed: a failure of an operation that began during the last outage does
   * not start a new one, unless redis itself refused it.
   */
  reportFailure(address: string, message: string, error?: Error): void {
    const isLate = performance.now() < (this.lateUntil.get(address) ?? 0);
    const isNew = error !== undefined && isDenied(error);
    if (isLate && !isNew && !this.isOutageReported(address))
      log(message, "debug", error && { error: errorText(error) });
    else this.reportOutage(address, message, error);
  }

  /**
   * Several parts of this process compare the clock of this host with that of redis; one line reports it for all.
   * @param ms the difference, positive if this host is ahead; 0 when it ends
   */
  reportSkew(address: string, ms: number): void {
    if ((ms !== 0) === this.skewed.has(address)) return;
    if (ms === 0) {
      this.skewed.delete(address);
      return log("the clock of this host is that of redis again", "notice");
    }
    this.skewed.add(address);
    const side = ms > 0 ? "ahead of" : "behind";
    log(
      `the clock of this host is ${Math.abs(ms)} ms ${side} that of redis: tasks follow the clock of redis`,
      "warning",
    );
  }

  isOutageReported(address: string): boolean {
    return this.outages.get(address)?.since !== undefined;
  }

  /** Whether writes have been refused for the timeout of an operation. */
  isRefusedForLong(address: string): boolean {
    const { isRefusal, since } = this.outages.get(address) ?? {};
    if (!isRefusal || since === undefined) return false;
    return performance.now() - since >= this.timeoutMs;
  }

  /**
   * Redis responds. Connections return one after the other, and some may fail again: redis is back when no
   * connection is lost.
   * @param hasWritten whether it took a write
   */
  endOutage(address: string, hasWritten = false): void {
    const outage = this.outages.get(address);
    if (outage && hasWritten) outage.isRefusal = false;
    if (!outage || outage.away.size > 0 || outage.isRefusal) return;
    this.forget(address);
    const { since } = outage;
    if (since === undefined) return;
    this.lateUntil.set(address, performance.now() + this.timeoutMs);
    log(
      `redis is back after ${Math.round(performance.now() - since)} ms`,
      "notice",
    );
  }

  private forget(address: string): void {
    clearTimeout(this.outages.get(address)?.closed);
    this.outages.delete(address);
  }

  private outageOf(address: string): Outage {
    let outage = this.outages.get(address);
    if (!outage) this.outages.set(address, (outage = { away: new Set() }));
    return outage;
  }
}

const followed = new WeakMap<
  Redis,
  { connectionLog: ConnectionLog; address: string }
>();

/** A command, or the operation that `message` names, timed out. */
export function noteUnavailable(
  client: Redis,
  message = "redis does not respond",
  error?: Error,
): void {
  const known = followed.get(client);
  known?.connectionLog.reportFailure(known.address, message, error);
}

/** The clock of this host differs from that of redis by `ms`, or no longer (0). */
export function noteSkew(client: Redis, ms: number): void {
  const known = followed.get(client);
  known?.connectionLog.reportSkew(known.address, ms);
}

/** Redis refuses writes now, whatever happened before. */
export function noteRefusal(client: Redis, error: Error): void {
  const known = followed.get(client);
  known?.connectionLog.reportOutage(
    known.address,
    "redis refuses writes",
    error,
  );
}

/** Whether redis is known to be unavailable. */
export function isSilent(client: Redis): boolean {
  const known = followed.get(client);
  return known?.connectionLog.isOutageReported(known.address) === true;
}

/** Whether redis has refused writes for so long that another one need not wait for the end of it. */
export function isRefusedForLong(client: Redis): boolean {
  const known = followed.get(client);
  return known?.connectionLog.isRefusedForLong(known.address) === true;
}

/** Redis accepted a write on this connection. */
export function noteWriteAccepted(client: Redis): void {
  const known = followed.get(client);
  known?.connectionLog.endOutage(known.address, true);
}

/** Redis responded on this connection. */
export function noteReply(client: Redis): void {
  const known = followed.get(client);
  known?.connectionLog.endOutage(known.address);
}

/**
 * Log a failure. While redis is unavailable, one line reports that for all failures, and this one is logged at
 * `debug`.
 */
export function logFailure(
  client: Redis,
  thrown: unknown,
  message: string,
  severity: ActionheroLogLevel,
): void {
  const error = toError(thrown);
  const isAway = isRedisAway(error);
  if (isAway) {
    const state = isDenied(error) ? "refuses our user" : "does not respond";
    noteUnavailable(client, `redis ${state}`, error);
  }
  log(`${message}: ${String(error)}`, isAway ? "debug" : severity);
}

// --- Steps of the boot that a full redis refuses. Workers start nevertheless, because only they can empty it.

/**
 * Run a step of the boot that is done again later.
 * @param what for the warning if redis is full: "cannot <what>"
 */
export async function unlessFull(
  what: string,
  step: () => Promise<unknown>,
): Promise<void> {
  try {
    await step();
  } catch (thrown) {
    const error = toError(thrown);
    if (!isFull(error)) throw thrown;
    log(`cannot ${what}: ${error.message}`, "warning");
  }
}

// --- Operations of a stopping node on redis.

/** The timeout of one operation, in ms. */
const STEP_MS = 1_000;
/** The timeout of one operation once redis has failed to respond, in ms: a stop does not wait for it repeatedly. */
const SILENT_STEP_MS = 100;

/**
 * Run such an operation; never rejects.
 * @returns whether redis responded in time
 */
export async function runStopStep(
  client: Redis,
  step: () => Promise<unknown>,
): Promise<boolean> {
  const ms = isSilent(client) ? SILENT_STEP_MS : STEP_MS;
  const message = () => "redis does not respond";
  try {
    await withTimeout(ms, step(), "AH_REDIS_TIMEOUT", message);
    return true;
  } catch (error) {
    log(
      `redis did not take part in the stop: ${toError(error).message}`,
      "debug",
    );
    if (isRedisAway(error) && !isFull(toError(error))) noteUnavailable(client);
    return false;
  }
}
