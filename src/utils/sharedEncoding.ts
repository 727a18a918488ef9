/**
 * Encodes a chat message once per transport instead of once per member.
 *
 * All members that get the same message get the *same object* through `connection.sendMessage`. A transport that
 * encodes with `encodeOnce(message, "its name", encode)` encodes such an object for its first member and gets the
 * same bytes for all others; any other message is encoded each time, because it may have changed.
 */

/** The encoded forms of each message with several recipients, by transport. */
const encodedForms = new WeakMap<object, Map<string, unknown>>();

/** Mark an object as immutable from now on, and about to be sent to many. */
export function shareEncoding<T extends object>(message: T): T {
  encodedForms.set(message, new Map());
  return message;
}

/**
 * The encoded form of a message.
 * @param transport names the form, e.g. `"websocket"`; one name, one form
 * @param encode creates the form; the result must not be modified afterwards, because others send it too
 */
export function encodeOnce<T, M extends object>(
  message: M,
  transport: string,
  encode: (message: M) => T,
): T {
  const forms = encodedForms.get(message);
  if (!forms) return encode(message);
  if (!forms.has(transport)) forms.set(transport, encode(message));
  return forms.get(transport) as T;
}
