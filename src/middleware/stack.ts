/** Named middleware with priorities, as actions, connections, chat rooms and tasks have it. */
import { settings } from "../config/settings";

/**
 * A function of middleware. `F` gives the parameters of a function that is written in place their types; any other
 * function is accepted, as in v29, because projects declare the parts of an argument that they use.
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-function-type -- v29's type
export type Hook<F> = F | Function;

export interface NamedMiddleware {
  name: string;
  /** Lower runs earlier (default `config.general.defaultMiddlewarePriority`). */
  priority?: number;
}

/** Public and mutable: users and their tests replace both properties. */
export interface MiddlewareRegistry<M extends NamedMiddleware> {
  middleware: { [name: string]: M };
  globalMiddleware: string[];
}

/**
 * Add middleware, or replace the one of the same name.
 * @param isGlobal run it everywhere, and not only where it is named
 * @throws Error `middleware.name is required`
 */
export function registerMiddleware<M extends NamedMiddleware>(
  registry: MiddlewareRegistry<M>,
  data: M,
  isGlobal: boolean,
): void {
  if (!data.name) throw new Error("middleware.name is required");
  data.priority = Number(
    data.priority ?? settings().general.defaultMiddlewarePriority,
  );
  registry.middleware[data.name] = data;
  if (!isGlobal) return;
  if (!registry.globalMiddleware.includes(data.name))
    registry.globalMiddleware.push(data.name);
  sortGlobalMiddleware(registry.globalMiddleware, registry.middleware);
}

/** Sort middleware names in place by ascending priority; equal priorities keep their order. */
export function sortGlobalMiddleware(
  names: string[],
  middleware: { [name: string]: { priority?: number } },
): void {
  names.sort((a, b) => priorityOf(middleware[a]) - priorityOf(middleware[b]));
}

function priorityOf(entry: { priority?: number } | undefined): number {
  return entry?.priority ?? 0;
}
