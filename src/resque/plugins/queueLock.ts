import { lockKey, LOCK_SECONDS } from "../locks";
import { Plugin } from "../plugin";

/** A lock younger than this may be ahead of its job, in s. */
const YOUNG_LOCK_SECONDS = 5;

/** At most once in the queue. */
export class QueueLock extends Plugin {
  override beforeEnqueue(): Promise<boolean> {
    const { queueObject, queue, func, args } = this;
    return queueObject.connection.store.takeQueueLock({
      key: lockKey(this, "lock"),
      seconds: (this.options.lockTimeout as number) ?? LOCK_SECONDS,
      believedSeconds: YOUNG_LOCK_SECONDS,
      job: { queue, raw: queueObject.encode(queue, func, args) },
    });
  }

  override async beforePerform(): Promise<boolean> {
    const { store } = this.queueObject.connection;
    await this.worker.persist(() => store.removeLock(lockKey(this, "lock")));
    return true;
  }
}
