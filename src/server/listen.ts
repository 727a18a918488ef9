/** Starts a listener as configured: on a port, or a unix socket. */
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as net from "node:net";
import type { Server as NetServer } from "node:net";
import * as path from "node:path";
import type { CertificateSettings } from "../config/types";
import { ActionheroError, errorText, toError } from "../errors";

/** The settings for listening. */
export interface ListenSettings {
  /** A port, or the path of a unix socket, which has no `bindIP`. */
  port?: number | string;
  bindIP?: string | null;
  /** The number of attempts (default 1). */
  bootAttempts?: number;
}

interface ListenOptions {
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
  wanted: ListenSettings,
  options: ListenOptions,
): Promise<void> {
  const { type, log: report, describe } = options;
  const attempts = wanted.bootAttempts ?? 1;
  for (let attempt = 1; ; attempt++) {
    try {
      await listenOnFreePath(server, wanted, options);
      return;
    } catch (thrown) {
      const error = toError(thrown);
      if (attempt >= attempts) throw startFailure(type, describe(error), error);
      report(
        `cannot boot ${type} server; trying again [${errorText(error)}]`,
        "error",
      );
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      report("attempting to boot again..", "warning");
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
  wanted: ListenSettings,
  options: ListenOptions,
): Promise<void> {
  try {
    await listenOnce(server, wanted);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EADDRINUSE" || !(await freePath(wanted, options)))
      throw error;
    await listenOnce(server, wanted);
  }
}

async function freePath(
  wanted: ListenSettings,
  { log: report }: ListenOptions,
): Promise<boolean> {
  const socketPath = unixSocketOf(wanted);
  if (!socketPath) return false;
  try {
    const isFree = await removeStaleSocket(socketPath);
    if (isFree) report(`removed stale unix socket @ ${socketPath}`, "warning");
    return isFree;
  } catch (error) {
    report(
      `cannot remove stale socket @ ${socketPath}: ${errorText(error)}`,
      "error",
    );
    return false;
  }
}

function listenOnce(server: NetServer, wanted: ListenSettings): Promise<void> {
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
        const socketPath = unixSocketOf(wanted);
        if (socketPath) {
          fs.chmodSync(socketPath, 0o777);
          ownSocketFile(server, socketPath);
        }
        resolve();
      });
    server.once("error", onError);
    server.once("listening", onListening);
    const { port, bindIP } = wanted;
    const socketPath = unixSocketOf(wanted);
    if (socketPath) server.listen(socketPath);
    else server.listen(Number(port ?? 0), bindIP || undefined);
  });
}

/** A port that is a path is a unix socket. */
function unixSocketOf({ port }: ListenSettings): string | undefined {
  return typeof port === "string" && port.includes("/") ? port : undefined;
}

// --- Files of unix sockets: removes stale ones, and preserves those of other processes.

/** How long a server may take to accept a probe, in ms; one that is too busy is not stale. */
const PROBE_MS = 1_000;

interface SocketFile {
  path: string;
  dev: number;
  ino: number;
}

/** The file of each listener that listens on a unix socket. */
const socketFiles = new WeakMap<net.Server, SocketFile>();

/**
 * Remove the file of a socket without a listening process. Sockets of running servers and other files are kept.
 * @returns whether the path is free now
 * @throws Error of the file system
 */
async function removeStaleSocket(file: string): Promise<boolean> {
  if (!(await isStale(file))) return false;
  // under another name it is probed again: a process that did the same may listen there meanwhile
  const aside = nameBeside(file);
  await fs.promises.rename(file, aside);
  const isStillStale = await isStale(aside);
  if (!isStillStale) await fs.promises.link(aside, file).catch(() => undefined); // taken by a third one
  await fs.promises.unlink(aside);
  return isStillStale;
}

/** Remember the file that a listener has just made. */
function ownSocketFile(server: net.Server, file: string): void {
  const { dev, ino } = fs.lstatSync(file);
  socketFiles.set(server, { path: file, dev, ino });
}

/**
 * Stop listening at once. Node then deletes the file at the path of a unix socket, even one of another process; a file
 * that another process has created since is preserved.
 * @returns a promise that resolves when the last connection has ended
 */
export function stopListening(server: net.Server): Promise<void> {
  const file = socketFiles.get(server);
  const kept = file && keepOther(file);
  const closed = new Promise<void>((resolve) =>
    closeKeepingIdle(server, resolve),
  );
  if (kept !== undefined) fs.renameSync(kept, file!.path);
  return closed;
}

/** Prevents `close` of an HTTP server from ending idle connections, which may be about to send a request. */
function closeKeepingIdle(
  server: net.Server & { closeIdleConnections?: () => void },
  onClosed: () => void,
): void {
  if (server.closeIdleConnections) server.closeIdleConnections = keepThem;
  server.close(onClosed);
  Reflect.deleteProperty(server, "closeIdleConnections"); // uncovers the method of the class
}

function keepThem(): void {
  // who stops the server ends them
}

/** @returns another name of the file at the path, if it is not ours */
function keepOther({ path: file, dev, ino }: SocketFile): string | undefined {
  try {
    const found = fs.lstatSync(file);
    if (found.dev === dev && found.ino === ino) return undefined;
    const aside = nameBeside(file);
    fs.linkSync(file, aside);
    return aside;
  } catch {
    return undefined; // there is no file, or the folder is not writable, so nothing is removed either
  }
}

/** Short, because paths of unix sockets are limited to about 100 bytes. */
function nameBeside(file: string): string {
  return path.join(path.dirname(file), `.${randomBytes(4).toString("hex")}`);
}

async function isStale(file: string): Promise<boolean> {
  const found = await fs.promises.lstat(file);
  return found.isSocket() && (await isRefused(file));
}

function isRefused(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.connect(file);
    const end = (wasStale: boolean) => {
      probe.destroy();
      resolve(wasStale);
    };
    probe.setTimeout(PROBE_MS, () => end(false));
    probe.once("connect", () => end(false));
    probe.once("error", ({ code }: NodeJS.ErrnoException) =>
      end(code === "ECONNREFUSED"),
    );
  });
}

// --- Keys and certificates that settings name by their files.

/**
 * The settings with the contents of the files that they name.
 * @throws Error when one cannot be read
 */
export function readCertificateFiles<Settings extends CertificateSettings>(
  options: Settings,
): Settings {
  const { keyFile, certFile, caFile } = options;
  const read = { ...options };
  if (keyFile) read.key = fs.readFileSync(keyFile);
  if (certFile) read.cert = fs.readFileSync(certFile);
  if (caFile) read.ca = fs.readFileSync(caFile);
  return read;
}
