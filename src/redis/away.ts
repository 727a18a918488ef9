/** Gives the errors of commands that fail because redis is away the code that `isRedisAway` decides on. */
import type { Command, Redis } from "ioredis";
import type { ErrorCode } from "../errors";

const CODE: ErrorCode = "AH_REDIS_TIMEOUT";
const TIMED_OUT = "Command timed out";

/** What ioredis says of a command that has no connection, or loses it. Its classes differ between versions, its texts do not. */
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

/** Error replies of a server that answers, but refuses all commands or all writes; Redis 6 names the script first. */
const UNAVAILABLE =
  /^(ERR Error running script .* -)?(LOADING|BUSY|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|MISCONF) /;

/** ioredis subscribes anew over each connection, and nobody waits for that: a failure must not end the process. */
const SUBSCRIBES = /^[ps]?subscribe$/i;

const marking = new WeakSet<object>();
/** On a command whose failure is marked: it is sent again over the next connection. A WeakSet would cost each command more. */
const MARKED = Symbol("marked");

/** Mark the errors with which commands of this client fail. */
export function markFailures(client: Redis): void {
  if (typeof client.sendCommand !== "function" || marking.has(client)) return;
  marking.add(client);
  const send = client.sendCommand.bind(client);
  client.sendCommand = (command: Command & { [MARKED]?: true }, stream) => {
    const { reject } = command;
    if (typeof reject === "function" && !command[MARKED]) {
      command[MARKED] = true;
      command.reject = (error) => reject.call(command, markIfAway(error));
      if (SUBSCRIBES.test(command.name)) command.promise.catch(() => undefined);
    }
    return send(command, stream);
  };
}

/** Whether redis answered with an error of the command itself: asking again would not help. */
export function isFinal({ name, message }: Error): boolean {
  return name === "ReplyError" && !UNAVAILABLE.test(message);
}

/** The error of a command without an answer in time. */
export function commandTimedOut(): Error {
  return markIfAway(new Error(TIMED_OUT));
}

/** The same error, as its text is what callers and ioredis itself may compare. */
function markIfAway<E extends Error>(error: E): E {
  const { name, message, code } = error as E & { code?: unknown };
  const isAway =
    name === "ReplyError" ? UNAVAILABLE.test(message) : LOST.test(message);
  if (isAway && code === undefined && Object.isExtensible(error))
    Object.assign(error, { code: CODE });
  return error;
}
