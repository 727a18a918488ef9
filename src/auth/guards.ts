/** Middleware that lets only known users through. */
import type { ActionProcessor } from "../action/actionProcessor";
import {
  defineMiddleware,
  type DefinedMiddleware,
} from "../action/defineMiddleware";
import { HttpError } from "../errors";

/** Whom an action runs for. The `id` is what limits by user and idempotency keys go by. */
export interface User {
  id: string | number;
}

export interface RequireUserOptions<Found extends User, Name extends string> {
  /** Default `"requireUser"`. */
  name?: Name;
  /** Lower runs earlier (default `config.general.defaultMiddlewarePriority`). */
  priority?: number;
  /** Who asks: by `data.store`, by `auth.bearerToken(data)`, or as you like. */
  find: (
    data: ActionProcessor,
  ) => Found | null | undefined | Promise<Found | null | undefined>;
}

/**
 * Middleware that puts the user into `data.session.user`, and refuses with 401 when there is none.
 * @returns middleware for the `middleware` of `defineAction`
 */
export function requireUser<
  Found extends User,
  const Name extends string = "requireUser",
>({
  name,
  priority,
  find,
}: RequireUserOptions<Found, Name>): DefinedMiddleware<Name, { user: Found }> {
  return defineMiddleware({
    name: name ?? ("requireUser" as Name),
    priority,
    preProcessor: async (data): Promise<{ user: Found }> => {
      const user = await find(data);
      if (user === undefined || user === null)
        throw new HttpError(401, "please sign in", {
          headers: { "WWW-Authenticate": "Bearer" },
        });
      return { user };
    },
  });
}
