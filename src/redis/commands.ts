/**
 * Wraps every command of a client: its error has the code that `isRedisAway` checks if redis is unavailable, and it shares
 * one timer with the others.
 */
import type { Command, Redis } from "ioredis";
import type { ErrorCode } from "../errors";
import { timerMs } from "../utils/promises";
import { reopen } from "./engine";

const CODE: ErrorCode = "AH_REDIS_TIMEOUT";
const TIMED_OUT = "Command timed out";

/** Error texts of ioredis for a missing or lost connection. Its classes differ between versions, its texts do not. */
const LOST = new RegExp(
  [
    `^${TIMED_OUT}$`,
    "^Connection is closed\\.$",
    "^Command aborted due to connection close$",
    "^Reached the max retries per request limit",
    "^Stream isn't writeable",
    "^Ready check failed: ",
    // of a Cluster
    "^Cluster isn't ready",
    "^Cluster is ended\\.$",
    "^Failed to refresh slots cache\\.$",
    "^None of startup nodes is available$",
    "^Too many Cluster redirections\\.",
  ].join("|"),
);

/** Error replies of a server that refuses all commands or all writes; Redis 6 names the script first. */
const UNAVAILABLE =
  /^(ERR Error running script .* -)?(LOADING|BUSY|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|MISCONF) /;

/** Error replies of a server that is full: it refuses writes that need memory. */
const FULL = /^(ERR Error running script .* -)?OOM /;

/** Error replies of a server that refuses writes, and that a new connection alone does not end; MASTERDOWN refuses reads, too. */
const REFUSED_WRITE =
  /^(ERR Error running script .* -)?(READONLY|MASTERDOWN|NOREPLICAS|MISCONF|OOM)\b/;

/**
 * Error replies of a server that no longer accepts this user, or a command or a key of a script; Redis 6 and 7 have different texts.
 * Other commands that a user has no right to are errors of their callers.
 */
const DENIED = /^(ERR Error running script .* -)?(NOAUTH|WRONGPASS) /;
const DENIED_SCRIPT =
  /^(ERR Error running script .*)?NOPERM |The user executing the script can't |ACL failure in script/;
const SCRIPTS: readonly unknown[] = ["eval", "evalsha"];

/** ioredis resubscribes on each connection without a handler: a failure must not stop the process. */
const SUBSCRIBES = new Set(["subscribe", "psubscribe", "ssubscribe"]);

const marking = new WeakSet<object>();
/** On a command whose failure is marked: it is sent again over the next connection. A WeakSet would cost each command more. */
const MARKED = Symbol("marked");

/** Mark the errors of failed commands of this client. */
export function markFailures(client: Redis): void {
  if (typeof client.sendCommand !== "function" || marking.has(client)) return;
  marking.add(client);
  const send = client.sendCommand.bind(client);
  client.sendCommand = (command: Command & { [MARKED]?: true }, stream) => {
    const { reject } = command;
    if (typeof reject === "function" && !command[MARKED]) {
      command[MARKED] = true;
      command.reject = (error) => reject.call(command, markIfAway(error));
      if (SUBSCRIBES.has(command.name)) command.promise.catch(() => undefined);
    }
    return send(command, stream);
  };
}

/** Whether redis replied with an error of the command itself, so that retrying is pointless. */
export function isFinal({ name, message }: Error): boolean {
  return name === "ReplyError" && !UNAVAILABLE.test(message);
}

/** Whether redis refused a write, but would respond to pings, and mostly to reads. */
export function isRefusedWrite({ message }: Error): boolean {
  return REFUSED_WRITE.test(message);
}

/** Whether redis is full. Reads and the reports of workers succeed nevertheless, so it is not waited for. */
export function isFull({ message }: Error): boolean {
  return FULL.test(message);
}

/** Whether redis refuses our scripts because of a password or the rights of this user: neither reads nor pings show it. */
export function isDenied(error: Error): boolean {
  const { command } = error as Error & { command?: { name?: unknown } };
  const { message } = error;
  if (DENIED.test(message)) return true;
  return SCRIPTS.includes(command?.name) && DENIED_SCRIPT.test(message);
}

/** The error of a command that timed out. */
export function commandTimedOut(): Error {
  return markIfAway(new Error(TIMED_OUT));
}

/** Mark an error that means an outage; it stays the same object, because callers and ioredis compare its text. */
export function markIfAway<E extends Error>(error: E): E {
  const { name, message, code } = error as E & { code?: unknown };
  const isAway =
    name === "ReplyError"
      ? UNAVAILABLE.test(message) || FULL.test(message) || isDenied(error)
      : LOST.test(message);
  if (isAway && code === undefined && Object.isExtensible(error))
    Object.assign(error, { code: CODE });
  return error;
}

// --- The database of a connection. When redis refuses SELECT, ioredis emits an error, and uses database 0.

const refusals = new WeakSet<Error>();

/** Whether redis refused the database of a new connection: at boot, waiting would not help. */
export function isRefusedDatabase(error: unknown): boolean {
  return refusals.has(error as Error);
}

/**
 * Keep a client from using another database than its own: when redis refuses SELECT on a new connection, the ready check fails,
 * so that ioredis rejects the queued commands and reconnects. A client without a ready check reconnects at once.
 */
export function requireDatabase(one: object): void {
  const client = one as Redis;
  const { options } = client;
  if (!options?.db || typeof client.sendCommand !== "function") return;
  // a reply after that of SELECT, before the first command
  if (!options.enableReadyCheck) options.disableClientInfo = false;
  let refusal: Error | undefined;
  const send = client.sendCommand.bind(client);
  client.sendCommand = (command: Command, stream) => {
    if (client.status !== "connect") return send(command, stream);
    const { name, reject, resolve } = command;
    if (name === "select") {
      refusal = undefined;
      command.reject = (error) => {
        reject.call(command, (refusal = refusalOf(error, options.db!)));
        if (!options.enableReadyCheck) reopen(client);
      };
    } else if (name === "info") {
      command.resolve = (value) =>
        refusal ? command.reject(refusal) : resolve.call(command, value);
    } else if (name === "client" && !options.enableReadyCheck) {
      // ioredis considers the connection ready afterwards
      command.resolve = (value) => {
        if (!refusal) resolve.call(command, value);
      };
    }
    return send(command, stream);
  };
}

/** @param error of SELECT, which also fails with its connection */
function refusalOf(error: Error, db: number): Error {
  if (!isFinal(error)) return error;
  const refusal = Object.assign(
    new Error(`cannot select database ${db}: ${error.message}`),
    { code: CODE },
  );
  refusals.add(refusal);
  return refusal;
}

// --- Timeouts of commands, without a timer per command.

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
  const deadlines = new Deadlines(client);
  deadlinesOf.set(client, deadlines);
  client.on("end", () => deadlines.clear());
  client.on("close", () => deadlines.connectionLost());
  client.on("ready", () => deadlines.connected());
  // ioredis calls it for a command that has a timeout
  const setTimeout = function (this: Command, ms: number) {
    deadlines.add(this, ms);
  };
  const send = client.sendCommand.bind(client);
  client.sendCommand = (command, stream) => {
    if (deadlines.isGivenUp(command)) return command.promise;
    // one that was sent before may take effect: it keeps its timeout
    const isNew = command.setTimeout !== setTimeout;
    if (isNew && deadlines.refuses(command, stream)) {
      command.reject(commandTimedOut());
      return command.promise;
    }
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
  /** The server of `refuseWhileAway`. */
  private server?: WatchedServer;
  /** When the connection was lost, in ms since the process began; undefined while there is one. */
  private lostSince: number | undefined;
  /** The oldest command has timed out, and no connection was opened since. */
  private isSilent = false;
  /** When there was last a connection or a late reply, in ms since the process began. */
  private connectedAt = 0;
  /** The pipeline of the last command, if it had one; the time and the verdict count for all of its commands. */
  private pipeline: unknown;
  private sentAt = 0;
  private isRefused = false;
  private pending: Deadline[] = [];
  private limit = MIN_LIMIT;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly client: Redis) {}

  connectionLost(): void {
    this.lostSince ??= performance.now();
    if (this.server) this.server.isSuspect = true;
  }

  connected(): void {
    this.lostSince = undefined;
    this.isSilent = false;
    this.connectedAt = performance.now();
  }

  get isLost(): boolean {
    return this.lostSince !== undefined;
  }

  watch(server: WatchedServer | undefined): void {
    this.server = server;
  }

  /**
   * Whether a command is not sent. The commands of a pipeline are refused and given up together: of a part, ioredis would write
   * nothing, but take the replies to other commands for its own.
   */
  refuses({ name }: Command, stream: unknown): boolean {
    if (stream === undefined || stream !== this.pipeline) {
      this.pipeline = stream;
      this.sentAt = performance.now();
      this.isRefused = this.isServerAway();
    }
    return this.isRefused && (stream !== undefined || !PROBES.has(name));
  }

  /** Whether new commands are refused. */
  isServerAway(): boolean {
    return this.server?.isSuspect === true && this.server.isAway(this);
  }

  /** Whether the server has not responded on this connection for the timeout of a command. */
  isAway(): boolean {
    const { client, lostSince } = this;
    if (client.status === "ready")
      return (this.isSilent = this.isGivenUp(this.oldest()));
    if (this.isSilent) return true;
    return (
      lostSince !== undefined &&
      performance.now() - lostSince >= timeoutOf(client)
    );
  }

  /** Whether a command that was sent over this connection waits for its reply for some time. */
  isWaiting(): boolean {
    const oldest = this.oldest();
    const deadline = this.pending.find(({ command }) => command === oldest);
    if (deadline === undefined || this.isLost) return false;
    const sentAt = deadline.due - timeoutOf(this.client);
    const since = Math.max(sentAt, this.connectedAt);
    return performance.now() - since >= WAITING_MS;
  }

  /** Replies come in the order of the commands: the server is silent while the first one has timed out. */
  private oldest(): Command | undefined {
    const { commandQueue } = this.client as { commandQueue?: CommandQueue };
    return commandQueue?.peekFront?.()?.command;
  }

  add(command: Command, ms: number): void {
    this.pending.push({ command, due: this.sentAt + ms });
    if (this.pending.length >= this.limit) this.forgetSettled();
    if (!this.timer) this.wake(ms);
  }

  isGivenUp(command: Command | undefined): boolean {
    const { givenUp } = this;
    return givenUp !== undefined && !!command && givenUp.has(command);
  }

  clear(): void {
    this.connected();
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
        command.resolve = () => this.connected(); // its late reply
        continue;
      }
      left.push(deadline);
      next = Math.min(next, due);
    }
    this.keep(left);
    if (next < Infinity) this.wake(next - now);
    this.noteSilence();
  }

  private noteSilence(): void {
    const { server } = this;
    if (server === undefined || !this.isGivenUp(this.oldest())) return;
    this.isSilent = true;
    server.isSuspect = true;
  }

  /** Unreferenced: the connection keeps the process alive. */
  private wake(ms: number): void {
    this.timer = setTimeout(later, timerMs(ms), this).unref();
  }

  /** From then on, at least half of the stored commands are pending or recently timed out. */
  private forgetSettled(): void {
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

// --- While a server is away, commands fail at once instead of after their timeout: a request that sends several waits once.

/** Commands that open a connection, or whose reply shows that the server is back: they are always sent. */
const PROBES = new Set([
  "auth",
  "client",
  "cluster",
  "hello",
  "info",
  "ping",
  "psubscribe",
  "quit",
  "readonly",
  "select",
  "ssubscribe",
  "subscribe",
]);

/** A server that is away on one connection is away on another whose oldest command has no reply after this time, in ms. */
const WAITING_MS = 1_000;

/** The queue of ioredis: commands that were sent and have no reply. */
interface CommandQueue {
  peekFront?(): { command: Command } | undefined;
}

const deadlinesOf = new WeakMap<object, Deadlines>();

function timeoutOf({ options }: Redis): number {
  return options.commandTimeout ?? Infinity;
}

/** The connections to one server. */
class WatchedServer {
  /** A connection was lost, or a command has timed out. */
  isSuspect = false;

  constructor(private readonly connections: readonly Deadlines[]) {
    for (const connection of connections) connection.watch(this);
  }

  isAway(connection: Deadlines): boolean {
    if (connection.isAway()) return true;
    const others = this.connections.filter((one) => one.isAway());
    if (others.length > 0) return connection.isWaiting();
    this.isSuspect = this.connections.some((one) => one.isLost);
    return false;
  }

  end(): void {
    for (const connection of this.connections) connection.watch(undefined);
  }
}

/** Whether the commands of a connection are refused at the moment; `PROBES` never are. */
export function isRefusing(client: Redis): boolean {
  return deadlinesOf.get(client)?.isServerAway() ?? false;
}

/**
 * Refuse the commands of these connections to one server while it has not responded for their timeout, with the same error.
 * Something has to ask them regularly, so that a server that is back is noticed.
 * @returns ends it
 */
export function refuseWhileAway(clients: readonly Redis[]): () => void {
  const server = new WatchedServer(
    clients.flatMap((client) => deadlinesOf.get(client) ?? []),
  );
  return () => server.end();
}
