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
