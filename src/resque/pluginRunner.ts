/** Runs the hooks of a job's plugins. */
import type { JobView } from "./jobView";
import type { HookName, PluginClass, PluginReference } from "./plugin";
import { DelayQueueLock, JobLock, Noop, QueueLock, Retry } from "./plugins";
import type { Queue } from "./queue";
import type { Job, ParsedJob } from "./types";

/** Plugins that jobs name by a string. */
export const BUNDLED: Readonly<Record<string, PluginClass>> = {
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
