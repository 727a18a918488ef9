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

interface Marked {
  _toExpand?: unknown;
}

/**
 * Whether a value is merged key by key (true) or carried over as it is (false).
 *
 * An object marked `_toExpand: false` is carried over. Class instances count as plain unless they bring a
 * `toString` of their own, as in v29.
 */
export function isPlainObject(
  value: unknown,
): value is Record<string, unknown> {
  if (!value || typeof value !== "object") return false;
  if (isUsual(value)) return (value as Marked)._toExpand !== false;
  if (!(value instanceof Object)) return false;
  if (NEVER_PLAIN.some((type) => value instanceof type)) return false;
  if ((value as Marked)._toExpand === false) return false;
  try {
    // eslint-disable-next-line @typescript-eslint/no-base-to-string -- the tag is intended
    return value.toString() === "[object Object]";
  } catch {
    return true;
  }
}

/** An object literal that does not say what it is: a configuration is made of hundreds, and each is looked at often. */
function isUsual(value: object): boolean {
  return (
    Object.getPrototypeOf(value) === Object.prototype &&
    !Object.hasOwn(value, "toString") &&
    !(Symbol.toStringTag in value)
  );
}
