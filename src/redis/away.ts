/** Marks errors of commands that fail because redis is unavailable with the code that `isRedisAway` checks. */
import type { Command, Redis } from "ioredis";
import type { ErrorCode } from "../errors";

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

/** Error replies of a server that refuses writes only. */
const REFUSED_WRITE =
  /^(ERR Error running script .* -)?(READONLY|NOREPLICAS|MISCONF|OOM)\b/;

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

/** Whether redis refused a write, but would respond to reads and pings. */
export function isRefusedWrite({ message }: Error): boolean {
  return REFUSED_WRITE.test(message);
}

/** Whether redis is full. Reads and the reports of workers succeed nevertheless, so it is not waited for. */
export function isFull({ message }: Error): boolean {
  return FULL.test(message);
}

/** The error of a command that timed out. */
export function commandTimedOut(): Error {
  return markIfAway(new Error(TIMED_OUT));
}

/** The same error, as its text is what callers and ioredis itself may compare. */
export function markIfAway<E extends Error>(error: E): E {
  const { name, message, code } = error as E & { code?: unknown };
  const isAway =
    name === "ReplyError"
      ? UNAVAILABLE.test(message) || FULL.test(message)
      : LOST.test(message);
  if (isAway && code === undefined && Object.isExtensible(error))
    Object.assign(error, { code: CODE });
  return error;
}
