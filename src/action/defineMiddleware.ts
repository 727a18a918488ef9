/** Middleware as values: what `preProcessor` returns joins `data.session`, and is typed in the actions that name it. */
import type { ActionMiddleware } from "./actionModule";
import type { ActionProcessor } from "./actionProcessor";

/** What a pre-processor returns: an object that joins the session, or nothing. */
export type SessionPart = object | void;

export interface MiddlewareDefinition<
  Name extends string,
  Part extends SessionPart,
> {
  name: Name;
  /** Lower runs earlier (default `config.general.defaultMiddlewarePriority`). */
  priority?: number;
  /** Runs before the action; throws to end it with an error. */
  preProcessor?: (data: ActionProcessor) => Part | Promise<Part>;
  /** Runs after the action. */
  postProcessor?: (data: ActionProcessor) => unknown;
}

export interface DefinedMiddleware<
  Name extends string = string,
  Part extends SessionPart = any,
> extends ActionMiddleware {
  name: Name;
  global: false;
  /** Only for types: what it adds to the session. */
  readonly "~session"?: Part;
}

/**
 * Middleware for the `middleware` of `defineAction`, which registers it; classes name it by `signedIn.name`, and
 * `action.addMiddleware(signedIn)` registers it for them.
 */
export function defineMiddleware<
  const Name extends string,
  Part extends SessionPart = void,
>(
  definition: MiddlewareDefinition<Name, Part>,
): DefinedMiddleware<Name, Awaited<Part>> {
  const { name, priority, preProcessor, postProcessor } = definition;
  const middleware: DefinedMiddleware<Name, Awaited<Part>> = {
    name,
    priority,
    global: false,
  };
  if (postProcessor) middleware.postProcessor = postProcessor;
  if (preProcessor)
    middleware.preProcessor = async (data: ActionProcessor) => {
      const part: unknown = await preProcessor(data);
      if (typeof part === "object" && part !== null)
        Object.assign((data.session ??= {}) as object, part);
    };
  return middleware;
}
