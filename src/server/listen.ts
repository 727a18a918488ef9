/** Starts a listener as configured: on a port, or a unix socket. */
import * as fs from "node:fs";
import type { Server as NetServer } from "node:net";
import { ActionheroError, errorText, toError } from "../errors";
import { ownSocketFile, removeStaleSocket } from "./staleSocket";

/** The settings for listening. */
export interface ListenSettings {
  /** A port, or the path of a unix socket, which has no `bindIP`. */
  port?: number | string;
  bindIP?: string | null;
  /** The number of attempts (default 1). */
  bootAttempts?: number;
}

export interface ListenOptions {
  /** The server's type, for the logs. */
  type: string;
  log: (message: string, severity: "error" | "warning") => void;
  /** The error message if it cannot listen. */
  describe: (error: Error) => string;
}

/** The delay between attempts, in ms. */
const RETRY_MS = 1000;

/**
 * Listen as configured, again after failures, up to `bootAttempts` times.
 * @throws ActionheroError AH_SERVER_START
 */
export async function listen(
  server: NetServer,
  settings: ListenSettings,
  options: ListenOptions,
): Promise<void> {
  const { type, log, describe } = options;
  const attempts = settings.bootAttempts ?? 1;
  for (let attempt = 1; ; attempt++) {
    try {
      await listenOnFreePath(server, settings, options);
      return;
    } catch (thrown) {
      const error = toError(thrown);
      if (attempt >= attempts) throw startFailure(type, describe(error), error);
      log(
        `cannot boot ${type} server; trying again [${errorText(error)}]`,
        "error",
      );
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

/** Listen; a socket that a killed process has left at the path is removed before. */
async function listenOnFreePath(
  server: NetServer,
  settings: ListenSettings,
  options: ListenOptions,
): Promise<void> {
  try {
    await listenOnce(server, settings);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EADDRINUSE" || !(await freePath(settings, options)))
      throw error;
    await listenOnce(server, settings);
  }
}

async function freePath(
  settings: ListenSettings,
  { log }: ListenOptions,
): Promise<boolean> {
  const socketPath = unixSocketOf(settings);
  if (!socketPath) return false;
  try {
    const isFree = await removeStaleSocket(socketPath);
    if (isFree) log(`removed stale unix socket @ ${socketPath}`, "warning");
    return isFree;
  } catch (error) {
    log(
      `cannot remove stale socket @ ${socketPath}: ${errorText(error)}`,
      "error",
    );
    return false;
  }
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
        if (socketPath) {
          fs.chmodSync(socketPath, 0o777);
          ownSocketFile(server, socketPath);
        }
        resolve();
      });
    server.once("error", onError);
    server.once("listening", onListening);
    const { port, bindIP } = settings;
    const socketPath = unixSocketOf(settings);
    if (socketPath) server.listen(socketPath);
    else server.listen(Number(port ?? 0), bindIP || undefined);
  });
}

/** A port that is a path is a unix socket. */
function unixSocketOf({ port }: ListenSettings): string | undefined {
  return typeof port === "string" && port.includes("/") ? port : undefined;
}
