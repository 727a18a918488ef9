/** Wakes processes that wait on a memory store: an addition ends the matching waits at once. */
import type { Waiting, WakeTarget } from "./store";
import { timerMs } from "../../utils/timers";

interface Waiter {
  target: WakeTarget;
  wake: (isCalled: boolean) => void;
}

export class MemoryWakeUps {
  /** Grows with each addition, so that one between an operation and a wait is not missed. */
  additions = 0;
  private readonly waiters = new Set<Waiter>();

  /** @param node the node that the queue belongs to */
  queueHasJobs(queue: string, node?: string): void {
    this.additions++;
    for (const { target, wake } of this.waiters) {
      if (target === "scheduler") continue;
      const { queues } = target;
      const isAny = node === undefined || node === target.node;
      if (queues.includes(queue) || (isAny && queues.includes("*"))) wake(true);
    }
  }

  isDueEarlier(): void {
    this.additions++;
    for (const { target, wake } of this.waiters)
      if (target === "scheduler") wake(true);
  }

  wait(target: WakeTarget, timeoutMs: number, since: number): Waiting {
    if (since !== this.additions)
      return { done: Promise.resolve(true), stop: () => undefined };
    let stop!: () => void;
    const done = new Promise<boolean>((resolve) => {
      const waiter: Waiter = {
        target,
        wake: (isCalled) => {
          clearTimeout(timer);
          this.waiters.delete(waiter);
          resolve(isCalled);
        },
      };
      const ms = timerMs(Math.max(timeoutMs, 0));
      const timer = setTimeout(waiter.wake, ms, false);
      this.waiters.add(waiter);
      stop = () => waiter.wake(false);
    });
    return { done, stop };
  }
}
