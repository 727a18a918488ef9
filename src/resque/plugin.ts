/** Plugins: code around the enqueueing and running of jobs. */
import type { Queue } from "./queue";
import type { Job, ParsedJob } from "./types";
import type { Worker } from "./worker";
import { bundledPlugins } from "./plugins";

export type HookName =
  "beforeEnqueue" | "afterEnqueue" | "beforePerform" | "afterPerform";

export type PluginClass = new (
  worker: any,
  func: string,
  queue: string,
  job: any,
  args: any[],
  options: any,
) => Plugin;

/** A class, or the name of a bundled one. */
export type PluginReference = string | PluginClass;

/** Extend it and give it any of the hooks; a hook that returns false stops what it stands before. */
export abstract class Plugin {
  name: string;
  worker: Worker;
  queueObject: Queue;
  queue: string;
  func: string;
  job: Job;
  args: any[];
  options: any;

  constructor(
    worker: Queue | Worker,
    func: string,
    queue: string,
    job: Job,
    args: any[],
    options: any,
  ) {
    this.name = this.constructor.name;
    this.worker = worker as Worker; // v29's type; while enqueueing it is the Queue
    this.queueObject = (worker as Worker).queueObject ?? worker;
    this.queue = queue;
    this.func = func;
    this.job = job;
    this.args = args;
    this.options = options;
  }

  beforeEnqueue?(): Promise<boolean> | boolean;
  afterEnqueue?(): Promise<boolean> | boolean;
  beforePerform?(): Promise<boolean> | boolean;
  afterPerform?(): Promise<boolean> | boolean;
}

/**
 * Run one hook of all plugins of a job, in order.
 * @returns false as soon as one of them does
 */
export async function runHooks(
  host: Queue | Worker,
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
  const plugins = bundledPlugins() as Record<string, PluginClass>;
  if (typeof reference !== "string" || !Object.hasOwn(plugins, reference))
    throw new Error("Plugin must be the constructor name or an object");
  return plugins[reference]!;
}
