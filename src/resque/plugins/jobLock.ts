import { lockKey } from "../locks";
import { Plugin } from "../plugin";

const POSTPONED_MS = 1001;

/** One run at a time; a second one is postponed or dropped. */
export class JobLock extends Plugin {
  override async beforePerform(): Promise<boolean> {
    const { lockTimeout, reEnqueue, enqueueTimeout } = this.options as {
      lockTimeout?: number;
      reEnqueue?: boolean;
      enqueueTimeout?: number;
    };
    const { worker } = this;
    const key = lockKey(this, "workerslock");
    if (await worker.takeLock(key, lockTimeout)) return true;
    if (reEnqueue === false) worker.isSecond = true;
    else {
      const { queue, raw } = worker;
      const due = { inMs: enqueueTimeout ?? POSTPONED_MS };
      worker.postpone({ do: "delay", queue, raw, due });
    }
    return false;
  }
}
