/** Listeners for clients that disconnect during a request. */
import type { Connection } from "./connection";

const listeners = new WeakMap<Connection, Set<() => void>>();
/** The number of listeners, so that most connections can end without a look-up. */
let count = 0;

/**
 * Call a function once when a connection ends.
 * @returns a function that removes the listener
 */
export function onLeave(
  connection: Connection,
  listener: () => void,
): () => void {
  let own = listeners.get(connection);
  if (!own) listeners.set(connection, (own = new Set()));
  own.add(listener);
  count++;
  return () => {
    if (own.delete(listener)) count--;
  };
}

/** The connection has ended. */
export function notifyLeave(connection: Connection): void {
  if (count === 0) return;
  const own = listeners.get(connection);
  if (!own) return;
  listeners.delete(connection);
  for (const listener of [...own]) {
    if (own.delete(listener)) count--;
    listener();
  }
}
