import { Plugin } from "../plugin";

/** Not enqueued while it is delayed. */
export class DelayQueueLock extends Plugin {
  override async beforeEnqueue(): Promise<boolean> {
    const { queue, func, args } = this;
    const times = await this.queueObject.scheduledAt(queue, func, args);
    return times.length === 0;
  }
}
