/** Gets a listener to listen where a server's configuration says: a port, or a unix socket. */
import * as fs from "node:fs";
import type { Server as NetServer } from "node:net";
import { ActionheroError, toError } from "../errors";

/** The settings of a server that say where it listens. */
export interface ListenSettings {
  /** A port, or the path of a unix socket when there is no `bindIP`. */
  port?: number | string;
  bindIP?: string | null;
  /** How often to try (default 1). */
  bootAttempts?: number;
}

export interface ListenOptions {
  /** The server's type, for the logs. */
  type: string;
  log: (message: string, severity: "error" | "warning") => void;
  /** The text of the error when it cannot listen. */
  describe: (error: Error) => string;
}

/** How long to wait before another attempt to listen, in ms. */
const RETRY_MS = 1000;

/**
 * Listen as configured, again after failures, up to `bootAttempts` times.
 * @throws ActionheroError AH_SERVER_START
 */
export async function listen(
  server: NetServer,
  settings: ListenSettings,
  { type, log, describe }: ListenOptions,
): Promise<void> {
  const attempts = settings.bootAttempts ?? 1;
  for (let attempt = 1; ; attempt++) {
    try {
      await listenOnce(server, settings);
      return;
    } catch (thrown) {
      const error = toError(thrown);
      if (attempt >= attempts) throw startFailure(type, describe(error), error);
      log(
        `cannot boot ${type} server; trying again [${error.toString()}]`,
        "error",
      );
      if (attempt === 1) removeStaleSocket(settings, log);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      log("attempting to boot again..", "warning");
    }
  }
}

function startFailure(server: string, message: string, cause: Error): Error {
  const error = new ActionheroError("AH_SERVER_START", message, { cause });
  error.data = { server };
  return error;
}

function listenOnce(
  server: NetServer,
  settings: ListenSettings,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (done: () => void) => {
      server.off("error", onError);
      server.off("listening", onListening);
      done();
    };
    const onError = (error: NodeJS.ErrnoException) =>
      settle(() => reject(error));
    const onListening = () =>
      settle(() => {
        const socketPath = unixSocketOf(settings);
        if (socketPath) fs.chmodSync(socketPath, 0o777);
        resolve();
      });
    server.once("error", onError);
    server.once("listening", onListening);
    const socketPath = unixSocketOf(settings);
    if (socketPath) server.listen(socketPath);
    else server.listen(Number(settings.port ?? 0), hostOf(settings));
  });
}

function hostOf({ bindIP }: ListenSettings): string | undefined {
  return bindIP || undefined;
}

/** A port that is a path is a unix socket. */
function unixSocketOf({ bindIP, port }: ListenSettings): string | undefined {
  return !bindIP && typeof port === "string" && port.includes("/")
    ? port
    : undefined;
}

function removeStaleSocket(
  settings: ListenSettings,
  log: ListenOptions["log"],
): void {
  const socketPath = unixSocketOf(settings);
  if (!socketPath) return;
  try {
    fs.unlinkSync(socketPath);
    log(`removed stale unix socket @ ${socketPath}`, "warning");
  } catch (error) {
    log(
      `cannot remove stale socket @ ${socketPath}: ${toError(error).toString()}`,
      "error",
    );
  }
}
