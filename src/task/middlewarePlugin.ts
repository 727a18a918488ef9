/** Middleware as the queue knows it: one plugin each. */
import { api } from "../api";
import type { JobView } from "../resque/jobView";
import { Plugin, type PluginClass } from "../resque/plugin";
import type { TaskMiddleware } from "./middleware";

type Hook = "preEnqueue" | "postEnqueue" | "preProcessor" | "postProcessor";

/**
 * The plugin that runs the middleware of this name, whatever it is when its turn comes.
 * @param refused called when the middleware drops a job
 */
export function middlewarePlugin(
  name: string,
  refused: (view: JobView) => Promise<void>,
): PluginClass {
  return class NodeResquePlugin extends Plugin {
    override beforeEnqueue(): Promise<boolean> {
      return call(this, name, "preEnqueue");
    }

    override afterEnqueue(): Promise<boolean> {
      return call(this, name, "postEnqueue");
    }

    override async beforePerform(): Promise<boolean> {
      const goesOn = await call(this, name, "preProcessor");
      if (!goesOn) await refused(this.worker);
      return goesOn;
    }

    override afterPerform(): Promise<boolean> {
      return call(this, name, "postProcessor");
    }
  };
}

async function call(plugin: Plugin, name: string, hook: Hook) {
  const known: { [name: string]: TaskMiddleware } = api.tasks.middleware;
  const method = known[name]?.[hook];
  if (typeof method !== "function") return true;
  return (await method.call(plugin)) !== false;
}
