/** Kept in redis, so that the example needs nothing else; yours are in a database. */
import { cache, HttpError } from "actionhero";

const PREFIX = "user:";

/** @throws HttpError 409 when the name is taken, by a request of the same moment, too */
export async function addUser(name: string, hash: string): Promise<void> {
  const isNew = await cache.client().set(PREFIX + name, hash, "NX");
  if (!isNew) throw new HttpError(409, "that name is taken");
}

/** The hash of a user's password; null for a user who does not exist. */
export function findHash(name: string): Promise<string | null> {
  return cache.client().get(PREFIX + name);
}
