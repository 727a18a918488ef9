/** Another process of the same id: a mistake of who runs them, or one that died before this one was started. */
import * as os from "node:os";
import type { ClusterNode } from "./types";

export class Namesake {
  /** When it was last seen alive, by the monotonic clock. */
  private seenAt?: number;
  private timeout = 0;

  /** @param quietMs for how long it has been silent already */
  saw(other: ClusterNode, quietMs = 0): void {
    this.seenAt = performance.now() - quietMs;
    this.timeout = other.timeout;
  }

  /** Whether there is one that may be alive. */
  get isThere(): boolean {
    return (
      this.seenAt !== undefined &&
      performance.now() - this.seenAt < this.timeout
    );
  }

  /** Whether there was one that has not been seen for so long that it counts as dead. */
  get hasGone(): boolean {
    return this.seenAt !== undefined && !this.isThere;
  }

  forget(): void {
    this.seenAt = undefined;
  }
}

/** Whether a process is known to have ended; false also when nobody can tell from here. */
export function hasEnded({ host, pid }: ClusterNode): boolean {
  if (host !== os.hostname() || !Number.isInteger(pid) || pid <= 0)
    return false;
  if (pid === process.pid) return true; // an earlier start of this very process
  try {
    process.kill(pid, 0); // asks whether it is there, and sends nothing
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
