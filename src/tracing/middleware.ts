/** The spans of middleware, of whichever kind it is. */
import type { Tracer } from "./tracer";

/** Run a function of middleware with a span around it. */
export function traceMiddleware<T>(
  tracer: Tracer,
  { name, phase }: { name: string; phase: string },
  run: () => T,
): T {
  const attributes = {
    "actionhero.middleware.name": name,
    "actionhero.middleware.phase": phase,
  };
  const start = { name: `middleware ${name}`, isDetail: true, attributes };
  return tracer.run(start, run);
}
