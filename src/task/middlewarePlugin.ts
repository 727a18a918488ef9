/** Middleware as the queue knows it: one plugin each. */
import { api } from "../api";
import { Plugin, type PluginClass } from "../resque/plugin";
import { traceMiddleware } from "../tracing/middleware";
import { tracing } from "../tracing/tracer";
import type { TaskMiddleware } from "./middleware";

type Hook = "preEnqueue" | "postEnqueue" | "preProcessor" | "postProcessor";

/** The plugin that runs the middleware of this name, whatever it is when its turn comes. */
export function middlewarePlugin(name: string): PluginClass {
  return class NodeResquePlugin extends Plugin {
    override beforeEnqueue(): Promise<boolean> {
      return call(this, name, "preEnqueue");
    }

    override afterEnqueue(): Promise<boolean> {
      return call(this, name, "postEnqueue");
    }

    override beforePerform(): Promise<boolean> {
      return call(this, name, "preProcessor");
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
  const { tracer } = tracing;
  const run = (): unknown => method.call(plugin);
  const done = tracer
    ? traceMiddleware(tracer, { name, phase: hook }, run)
    : run();
  return (await done) !== false;
}
