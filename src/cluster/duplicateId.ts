/**
 * Detects another process with the same id: a configuration mistake, or a process that died before this one started.
 */
import * as os from "node:os";
import type { ClusterNode } from "./types";

export class DuplicateId {
  /** When it was last seen alive, by the monotonic clock. */
  private seenAt?: number;
  private timeout = 0;

  /** @param quietMs time since its last heartbeat, in ms */
  saw(other: ClusterNode, quietMs = 0): void {
    this.seenAt = performance.now() - quietMs;
    this.timeout = other.timeout;
  }

  /** Whether such a process may be alive. */
  get isAlive(): boolean {
    return (
      this.seenAt !== undefined &&
      performance.now() - this.seenAt < this.timeout
    );
  }

  /** Whether such a process existed and has been silent for so long that it counts as dead. */
  get hasDied(): boolean {
    return this.seenAt !== undefined && !this.isAlive;
  }

  forget(): void {
    this.seenAt = undefined;
  }
}

/** Whether a process is known to have ended; false if that cannot be determined from here. */
export function hasEnded({ host, pid }: ClusterNode): boolean {
  if (host !== os.hostname() || !Number.isInteger(pid) || pid <= 0)
    return false;
  if (pid === process.pid) return true; // an earlier start of this very process
  try {
    process.kill(pid, 0); // checks whether it exists, and sends no signal
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
