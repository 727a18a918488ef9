/** Plugins: code around the enqueueing and running of jobs. The bundled ones, and what runs their hooks. */
import type { JobView } from "./jobView";
import type { Queue } from "./queue";
import type { Job, ParsedJob } from "./types";

export type HookName =
  "beforeEnqueue" | "afterEnqueue" | "beforePerform" | "afterPerform";

type Hook = () => Promise<boolean> | boolean;

/** The interface of plugins, compatible with plugins for node-resque. */
export interface PluginInstance extends Partial<Record<HookName, Hook>> {
  name: string;
}

export type PluginClass = new (
  worker: any,
  func: string,
  queue: string,
  job: any,
  args: any[],
  options: any,
) => PluginInstance;

/** A class, or the name of a bundled one. */
export type PluginReference = string | PluginClass;

/** Extend it, and define any of the hooks; a `before...` hook that returns false cancels its operation. */
export abstract class Plugin implements PluginInstance {
  name: string;
  /** While a job is enqueued this is the queue. */
  worker: JobView;
  queueObject: Queue;
  queue: string;
  func: string;
  job: Job;
  args: any[];
  options: any;

  constructor(
    worker: Queue | JobView,
    func: string,
    queue: string,
    job: Job,
    args: any[],
    options: any,
  ) {
    this.name = this.constructor.name;
    this.worker = worker as JobView;
    this.queueObject = (worker as JobView).queueObject ?? worker;
    this.queue = queue;
    this.func = func;
    this.job = job;
    this.args = args;
    this.options = options as unknown;
  }

  beforeEnqueue?(): Promise<boolean> | boolean;
  afterEnqueue?(): Promise<boolean> | boolean;
  beforePerform?(): Promise<boolean> | boolean;
  afterPerform?(): Promise<boolean> | boolean;
}

// --- The bundled plugins, and the hooks of a job's plugins.

/** A failed job counts as done. */
class Noop extends Plugin {
  override afterPerform(): boolean {
    if (this.worker.error) {
      const { logger } = this.options as {
        logger?: ((error: Error) => void) | null | false;
      };
      (logger || console.log)(this.worker.error);
      this.worker.error = null;
    }
    return true;
  }
}

/** Not enqueued while it is delayed. */
class DelayQueueLock extends Plugin {
  override async beforeEnqueue(): Promise<boolean> {
    const { queue, func, args } = this;
    const times = await this.queueObject.scheduledAt(queue, func, args);
    return times.length === 0;
  }
}

const POSTPONED_MS = 1001;

/** One run at a time; a second one is postponed or dropped. */
class JobLock extends Plugin {
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

/** A lock younger than this may be ahead of its job, in s. */
const YOUNG_LOCK_SECONDS = 5;

/** At most once in the queue. */
class QueueLock extends Plugin {
  override beforeEnqueue(): Promise<boolean> {
    const { queueObject, queue, func, args } = this;
    return queueObject.connection.store.takeQueueLock({
      key: lockKey(this, "lock"),
      seconds:
        (this.options as { lockTimeout?: number }).lockTimeout ?? LOCK_SECONDS,
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

/** Counters outlive the longest wait by this, in s. */
const SPARE_SECONDS = 3600;

interface RetryOptions {
  retryLimit?: number;
  retryDelay?: number;
  backoffStrategy?: number | number[] | null;
}

/** A failed job runs again later, `retryLimit` times in all. */
class Retry extends Plugin {
  override async afterPerform(): Promise<boolean> {
    const { store } = this.queueObject.connection;
    const { worker } = this;
    const key = retryKey(this);
    const { error } = worker;
    if (!error) {
      await worker.persist(() => store.forgetRetry(key));
      return true;
    }
    const {
      retryLimit = 1,
      retryDelay = 5000,
      backoffStrategy,
    } = this.options as RetryOptions;
    const attempt = await worker.persist(() => store.countRetry(key));
    const remainingAttempts = retryLimit - attempt - 1;
    if (remainingAttempts <= 0) {
      await worker.persist(() => store.forgetRetry(key));
      throw error;
    }
    const delays = [backoffStrategy ?? retryDelay].flat().map(Number);
    const delay = delays[Math.min(attempt, delays.length - 1)]!;
    const seconds = Math.ceil(Math.max(...delays) / 1000) + SPARE_SECONDS;
    const failure = this.describe(error);
    const { queue, raw } = worker;
    worker.retryLater(
      [
        { do: "keepRetry", key, failure, seconds },
        { do: "delay", queue, raw, due: { inMs: delay } },
      ],
      { delay, remainingAttempts, err: error },
    );
    return true;
  }

  private describe(error: Error): string {
    return JSON.stringify({
      failed_at: new Date()
        .toISOString()
        .slice(0, 19)
        .replace(/-/g, "/")
        .replace("T", " "),
      payload: this.args,
      exception: error.name,
      error: error.message,
      backtrace: (error.stack ?? "").split("\n").slice(1),
      worker: this.func,
      queue: this.queue,
    });
  }
}

function retryKey({ func, args }: Plugin): string {
  const argsKey = args
    .map((arg) => (typeof arg === "object" ? JSON.stringify(arg) : String(arg)))
    .join("-");
  return `resque-retry:${func}:${argsKey}`.replace(/\s/, "");
}

// --- The keys of locks of jobs.

/** Locks of jobs live this long unless the options say otherwise, in s. */
const LOCK_SECONDS = 3600;

/** The key of a lock of a job, which the options of its plugin may name. */
function lockKey(plugin: Plugin, kind: "lock" | "workerslock"): string {
  const { key } = plugin.options as { key?: string | (() => string) };
  if (key !== undefined)
    return typeof key === "function" ? key.apply(plugin) : key;
  return plugin.queueObject.connection.key(
    kind,
    plugin.func,
    plugin.queue,
    JSON.stringify(plugin.args),
  );
}

/** Plugins that jobs name by a string. */
const BUNDLED: Readonly<Record<string, PluginClass>> = {
  JobLock,
  QueueLock,
  DelayQueueLock,
  Retry,
  Noop,
};

/**
 * Run one hook of all plugins of a job, in order.
 * @returns false as soon as one of them returns false
 */
export async function runHooks(
  host: Queue | JobView,
  hook: HookName,
  job: Job | undefined,
  { class: func, queue, args }: ParsedJob,
): Promise<boolean> {
  if (!job?.plugins || job.plugins.length === 0) return true;
  for (const reference of job.plugins) {
    const PluginOfJob = resolve(reference);
    const name = typeof reference === "string" ? reference : PluginOfJob.name;
    const options = (job.pluginOptions?.[name] ?? {}) as unknown;
    const plugin = new PluginOfJob(host, func, queue, job, args, options);
    if ((await plugin[hook]?.()) === false) return false;
  }
  return true;
}

function resolve(reference: PluginReference): PluginClass {
  if (typeof reference === "function") return reference;
  if (typeof reference !== "string" || !Object.hasOwn(BUNDLED, reference))
    throw new Error("Plugin must be the constructor name or an object");
  return BUNDLED[reference]!;
}
