import { lockKey, ownLockValue, LOCK_SECONDS } from "../locks";
import { Plugin } from "../plugin";
import { delayCommands } from "../steps/delay";

/** A worker renews its locks; one that died leaves them no longer than this, in s. */
const RENEWED_LOCK_SECONDS = 300;
const PUT_OFF_MS = 1001;

/** One run at a time; a second one is put off or dropped. */
export class JobLock extends Plugin {
  override async beforePerform(): Promise<boolean> {
    const { lockTimeout, reEnqueue, enqueueTimeout } = this.options as {
      lockTimeout?: number;
      reEnqueue?: boolean;
      enqueueTimeout?: number;
    };
    const key = lockKey(this, "workerslock");
    const value = ownLockValue(lockTimeout ?? LOCK_SECONDS);
    const seconds = lockTimeout ?? RENEWED_LOCK_SECONDS;
    if (await this.worker.takeLock(key, value, seconds)) return true;
    if (reEnqueue !== false) {
      // together with the end of this run, so that the job is never in neither place
      const due = Date.now() + (enqueueTimeout ?? PUT_OFF_MS);
      const { connection } = this.queueObject;
      this.worker.putOff(delayCommands(connection, due, this.worker.raw));
    }
    return false;
  }

  override async afterPerform(): Promise<boolean> {
    await this.worker.releaseLock(lockKey(this, "workerslock"));
    return true;
  }
}
