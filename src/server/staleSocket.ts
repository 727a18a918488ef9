/** Files of unix sockets: which are left over from processes that ended, and which belong to others. */
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";

/** How long a server may take to accept a probe, in ms; one that is too busy is not stale. */
const PROBE_MS = 1_000;

interface SocketFile {
  path: string;
  dev: number;
  ino: number;
}

/** The file of each listener that listens on a unix socket. */
const files = new WeakMap<net.Server, SocketFile>();

/**
 * Remove the file of a socket without a listening process. Sockets of running servers and other files are kept.
 * @returns whether the path is free now
 * @throws Error of the file system
 */
export async function removeStaleSocket(file: string): Promise<boolean> {
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
export function ownSocketFile(server: net.Server, file: string): void {
  const { dev, ino } = fs.lstatSync(file);
  files.set(server, { path: file, dev, ino });
}

/**
 * Stop listening; `onClosed` is called when the last connection has ended. Node removes whatever is at the path of a
 * unix socket then: what another process has put there since is kept.
 */
export function stopListening(server: net.Server, onClosed: () => void): void {
  const file = files.get(server);
  const kept = file && keepOther(file);
  closeKeepingIdle(server, onClosed);
  if (kept !== undefined) fs.renameSync(kept, file!.path);
}

/** `close` of an HTTP server ends idle connections, too, which may be about to bring a request. */
function closeKeepingIdle(
  server: net.Server & { closeIdleConnections?: () => void },
  onClosed: () => void,
): void {
  if (server.closeIdleConnections) server.closeIdleConnections = keepThem;
  server.close(onClosed);
  Reflect.deleteProperty(server, "closeIdleConnections"); // the class's own is seen again
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

/** Short, as the paths of sockets may have about 100 bytes. */
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
    const end = (isStale: boolean) => {
      probe.destroy();
      resolve(isStale);
    };
    probe.setTimeout(PROBE_MS, () => end(false));
    probe.once("connect", () => end(false));
    probe.once("error", ({ code }: NodeJS.ErrnoException) =>
      end(code === "ECONNREFUSED"),
    );
  });
}
