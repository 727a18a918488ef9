/** Middleware that lets only known users through. */
import type { ActionProcessor } from "../action/actionProcessor";
import {
  defineMiddleware,
  type DefinedMiddleware,
} from "../action/defineMiddleware";
import { HttpError } from "../errors";

/** The user of an action. Rate limits by user and idempotency keys use the `id`. */
export interface User {
  id: string | number;
}

export interface RequireUserOptions<Found extends User, Name extends string> {
  /** Default `"requireUser"`. */
  name?: Name;
  /** Lower runs earlier (default `config.general.defaultMiddlewarePriority`). */
  priority?: number;
  /** Finds the user: by `data.store`, by `auth.bearerToken(data)`, or in any other way. */
  find: (
    data: ActionProcessor,
  ) => Found | null | undefined | Promise<Found | null | undefined>;
}

/**
 * Middleware that sets `data.session.user`, and refuses with 401 if no user is found.
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
