/** The spans of the cache. Keys are left out: they often have ids of users in them. */
import { tracing } from "../tracing/tracer";

type Operation = (...args: never[]) => Promise<unknown>;

/** An operation of the cache that has a span while tracing is on. */
export function traced<F extends Operation>(name: string, operation: F): F {
  const attributes = { "actionhero.cache.operation": name };
  const start = {
    name: `cache ${name}`,
    isDetail: true,
    expects: "AH_CACHE_NOT_FOUND",
    attributes,
  };
  const wrapped = (...args: never[]): Promise<unknown> => {
    const { tracer } = tracing;
    return tracer
      ? tracer.run(start, () => operation(...args))
      : operation(...args);
  };
  return wrapped as F;
}
