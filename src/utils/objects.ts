/** Plain objects and arrays: copies, merges, paths, and whether they have changed. Knows no configuration. */

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

/**
 * A fast check for plain objects without a custom `toString`: a configuration has hundreds, and each is checked often.
 */
function isUsual(value: object): boolean {
  return (
    Object.getPrototypeOf(value) === Object.prototype &&
    !Object.hasOwn(value, "toString") &&
    !(Symbol.toStringTag in value)
  );
}

/** A copy by way of JSON: functions and undefined are dropped, dates become strings. */
export function deepCopy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

// --- Merging of configuration objects.

type Hash = Record<string, any>;

/**
 * Merge `b` over `a` into a new object; neither is modified.
 *
 * Functions are called with `arg` and replaced by what they return, except in an object marked `_toExpand: false`,
 * whose values are settings themselves. Arrays replace, an empty object never wipes, `null` in `b` deletes the key,
 * `undefined` in `b` is ignored.
 */
export function hashMerge(a: Hash, b: Hash, arg?: unknown): Hash {
  const expand = a?._toExpand !== false && b?._toExpand !== false;
  return merge(a, b, { arg, expand });
}

/**
 * `hashMerge(config, block, config)`, whose result shares with `config` what the block does not name: a start merges some fifty
 * blocks, and would copy the whole configuration each time.
 *
 * Nothing is shared that a merge would change, or that a function of the block is given and might change.
 */
export function mergeBlock(config: Hash, block: Hash): Hash {
  if (block._toExpand === false || config._toExpand === false)
    return hashMerge(config, block, config);
  const shares = !takesArgument(block);
  return merge(config, block, { arg: config, expand: true, shares });
}

function takesArgument(value: unknown): boolean {
  if (typeof value === "function") return value.length > 0;
  return isPlainObject(value) && Object.values(value).some(takesArgument);
}

/** Whether a copy by `merge` would be the same. */
function isSettled(value: unknown): boolean {
  if (value === undefined || value === null) return false;
  if (!isPlainObject(value)) return typeof value !== "function";
  return Object.values(value).every(isSettled);
}

/** How functions are treated: called with `arg`, or kept as settings. */
interface Expansion {
  arg: unknown;
  expand: boolean;
  /** Whether values of `a` that `b` does not name may be shared (default false). */
  shares?: boolean;
}

function merge(a: Hash, b: Hash, expansion: Expansion): Hash {
  const { arg, expand, shares = false } = expansion;
  const merged: Hash = {};
  for (const key of keysOf(a)) {
    if (shares && !Object.hasOwn(b, key) && isSettled(a[key])) {
      merged[key] = a[key] as unknown;
      continue;
    }
    const value = expand ? expandBase(a[key], arg) : (a[key] as unknown);
    if (value !== undefined && value !== null) merged[key] = value;
  }
  for (const key of keysOf(b)) mergeKey(merged, key, b[key], expansion);
  // a copy: V8 keeps objects that grew key by key as hash tables, which cost a lookup for every setting read
  return { ...merged };
}

function expandBase(value: unknown, arg: unknown): unknown {
  if (isPlainObject(value)) return merge(value, {}, { arg, expand: true });
  if (typeof value !== "function") return value;
  const result = (value as (arg: unknown) => unknown)(arg);
  return isPlainObject(result)
    ? merge(result, {}, { arg, expand: true })
    : result;
}

function mergeKey(
  merged: Hash,
  key: string,
  value: unknown,
  expansion: Expansion,
): void {
  const { arg, expand } = expansion;
  if (value === undefined) return;
  if (value === null) {
    if (key in merged) delete merged[key];
    else merged[key] = null;
    return;
  }
  if (isPlainObject(value)) {
    mergePlain(merged, key, value, expansion);
    return;
  }
  if (typeof value === "function" && expand) {
    const result = (value as (arg: unknown) => unknown)(arg);
    if (isPlainObject(result)) mergePlain(merged, key, result, expansion);
    else merged[key] = result;
    return;
  }
  merged[key] = value;
}

function mergePlain(
  merged: Hash,
  key: string,
  value: Hash,
  { arg, expand }: Expansion,
): void {
  const base = mergeableBase(merged[key]);
  const expandBelow = expand && base._toExpand !== false;
  if (Object.keys(value).length === 0) merged[key] ??= {};
  else merged[key] = merge(base, value, { arg, expand: expandBelow });
}

/**
 * Whether values can be merged into `value`: an object that holds settings, marked or not; anything else is replaced.
 */
function mergeableBase(value: unknown): Hash {
  if (isPlainObject(value)) return value;
  const marked = (value as { _toExpand?: unknown } | undefined)?._toExpand;
  return marked === false ? (value as Hash) : {};
}

/** `__proto__` is never a setting; assigning it would change the prototype of the merged object. */
function keysOf(hash: Hash | undefined): string[] {
  return Object.keys(hash ?? {}).filter((key) => key !== "__proto__");
}

/** An object with a value for each of the keys. */
export function recordOf<Key extends string, Value>(
  keys: readonly Key[],
  valueOf: (key: Key) => Value,
): Record<Key, Value> {
  const record = {} as Record<Key, Value>;
  for (const key of keys) record[key] = valueOf(key);
  return record;
}

// --- Reading and replacing values by a path such as `"user.password"`, own properties only.

/** Whether the whole path exists. */
export function hasPath(root: unknown, steps: readonly string[]): boolean {
  let value = root;
  for (const step of steps) {
    if (typeof value !== "object" || value === null) return false;
    if (!Object.hasOwn(value, step)) return false;
    value = (value as Record<string, unknown>)[step];
  }
  return true;
}

/** A copy of `root` in which the value at an existing path is replaced; everything off the path is shared. */
export function replacePath<T>(
  root: T,
  steps: readonly string[],
  replacement: unknown,
): T {
  const [step, ...rest] = steps;
  if (step === undefined) return replacement as T;
  const copy = (
    Array.isArray(root) ? [...(root as unknown[])] : { ...root }
  ) as Record<string, unknown>;
  copy[step] = replacePath(copy[step], rest, replacement);
  return copy as T;
}

/**
 * A replacer for `JSON.stringify`, and a reviver for `JSON.parse`: objects have the same JSON whatever the order of their keys.
 * As a replacer it hides circles from `JSON.stringify`.
 */
export function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return value;
  const entries = Object.entries(value);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const NOTHING = Object.freeze({});

/**
 * `{ ...source, ...more }` for code that runs per request, message or job. In V8 11, adding a property to a spread copy
 * takes 5 µs, because every such copy gets its own hidden class; assigning to an existing object avoids that.
 */
export function withFields<Source extends object, More extends object>(
  source: Source | null | undefined,
  more: More,
): Source & More {
  return { ...NOTHING, ...(source as Source), ...more };
}

// --- Arrays.

/** The distinct items of `list`; of equal items the last one keeps its place. */
export function arrayUnique<T>(list: readonly T[]): T[] {
  return list.filter((item, i) => list.indexOf(item, i + 1) === -1);
}

/** Whether `b` starts with all of `a`; false when either is empty. */
export function arrayStartingMatch(
  a: readonly unknown[],
  b: readonly unknown[],
): boolean {
  if (a.length === 0 || b.length === 0) return false;
  return a.every((item, i) => item === b[i]);
}

/**
 * The values of an object whose keys are exactly `"0"` to `"n-1"`.
 * @returns false for anything else, `{}` included
 */
export function collapseObjectToArray(object: unknown): unknown[] | false {
  if (typeof object !== "object" || object === null) return false;
  const keys = Object.keys(object);
  if (keys.length === 0) return false;
  const values: unknown[] = [];
  for (let i = 0; i < keys.length; i++) {
    if (!Object.hasOwn(object, String(i))) return false;
    values.push((object as Record<string, unknown>)[i]);
  }
  return values;
}

// --- Results that are kept while their inputs are unchanged.

/** A function that computes again only if its argument differs from that of the previous call. */
export function remembered<Input, Result>(
  make: (input: Input) => Result,
): (input: Input) => Result {
  let last: { input: Input; result: Result } | undefined;
  return (input) => {
    if (last === undefined || last.input !== input)
      last = { input, result: make(input) };
    return last.result;
  };
}

/** A flat list of a record's names and values, to detect changes in place: configurations are changed at run time. */
export interface Snapshot {
  record: object | undefined;
  values: unknown[];
}

export function snapshotOf(record: object | undefined): Snapshot {
  return { record, values: Object.entries(record ?? {}).flat() };
}

/** Whether a record is that of the snapshot, with the same names and values in the same order. */
export function isUnchanged(
  { record, values }: Snapshot,
  now: object | undefined,
): boolean {
  if (record !== now) return false;
  let i = 0;
  for (const name in now) {
    if (values[i++] !== name) return false;
    if (values[i++] !== (now as Record<string, unknown>)[name]) return false;
  }
  return i === values.length;
}

/** The JSON object or array of a text; undefined for other values, and for a text that is not JSON. */
export function parseObject(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Replace an accessor of a prototype by a value of the object's own: a project may keep something there. */
export function setOwn(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, {
    configurable: true,
    enumerable: true,
    writable: true,
    value,
  });
}
