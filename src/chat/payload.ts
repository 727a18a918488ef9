/**
 * Encoding a chat message once per transport instead of once per member.
 *
 * All members that get the same message get the *same object* through `connection.sendMessage`. A transport that
 * encodes with `encodeOnce(message, "its name", encode)` encodes such an object for its first member and gets the
 * same bytes for all others; any other message is encoded each time, as it may have changed since.
 */

/** The encoded forms of each message that is on its way to several members, by transport. */
const encodedForms = new WeakMap<object, Map<string, unknown>>();

/** Say that this object will not change any more, and is about to be sent to many. */
export function shareEncoding<T extends object>(message: T): T {
  encodedForms.set(message, new Map());
  return message;
}

/**
 * The encoded form of a message.
 * @param transport names the form, e.g. `"websocket"`; one name, one form
 * @param encode makes the form; the result must not be changed afterwards, as others will send it too
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
