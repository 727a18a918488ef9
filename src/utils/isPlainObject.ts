const NEVER_PLAIN = [
  Boolean,
  Number,
  String,
  Function,
  Array,
  Date,
  RegExp,
  Buffer,
];

/**
 * Whether a value is merged key by key (true) or carried over as it is (false).
 *
 * An object marked `_toExpand: false` is carried over. Class instances count as plain unless they bring a
 * `toString` of their own, as in v29.
 */
export function isPlainObject(
  value: unknown,
): value is Record<string, unknown> {
  if (!value || !(value instanceof Object)) return false;
  if (NEVER_PLAIN.some((type) => value instanceof type)) return false;
  if ((value as { _toExpand?: unknown })._toExpand === false) return false;
  try {
    // eslint-disable-next-line @typescript-eslint/no-base-to-string -- the tag is intended
    return value.toString() === "[object Object]";
  } catch {
    return true;
  }
}
