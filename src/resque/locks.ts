/** The keys of locks of jobs. */
import type { Plugin } from "./plugin";

/** Locks of jobs live this long unless the options say otherwise, in s. */
export const LOCK_SECONDS = 3600;

/** The key of a lock of a job, which the options of its plugin may name. */
export function lockKey(plugin: Plugin, kind: "lock" | "workerslock"): string {
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
