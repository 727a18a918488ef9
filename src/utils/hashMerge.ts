/** Merging of configuration objects. */
import { isPlainObject } from "./isPlainObject";

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

/** How functions are treated: called with `arg`, or kept as settings. */
interface Expansion {
  arg: unknown;
  expand: boolean;
}

function merge(a: Hash, b: Hash, expansion: Expansion): Hash {
  const { arg, expand } = expansion;
  const merged: Hash = {};
  for (const key of keysOf(a)) {
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
