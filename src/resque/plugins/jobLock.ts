import { lockKey, lockValue, LOCK_SECONDS, takeLock } from "../locks";
import { Plugin } from "../plugin";

/** A worker renews its locks; one that died leaves them no longer than this, in s. */
const RENEWED_LOCK_SECONDS = 300;

/** One run at a time; a second one is put off or dropped. */
export class JobLock extends Plugin {
  override async beforePerform(): Promise<boolean> {
    const { connection } = this.queueObject;
    const given = this.options.lockTimeout as number | undefined;
    const seconds = given ?? RENEWED_LOCK_SECONDS;
    const key = lockKey(this, "workerslock");
    const value = lockValue(given ?? LOCK_SECONDS);
    if (await takeLock(connection, key, value, seconds)) {
      await this.worker.holdLock(key, value, seconds);
      return true;
    }
    if (this.options.reEnqueue !== false) {
      await this.queueObject.enqueueIn(
        (this.options.enqueueTimeout as number) ?? 1001,
        this.queue,
        this.func,
        this.args,
        true,
      );
    }
    return false;
  }

  override async afterPerform(): Promise<boolean> {
    await this.worker.releaseLock(lockKey(this, "workerslock"));
    return true;
  }
}
