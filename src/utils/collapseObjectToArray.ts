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
