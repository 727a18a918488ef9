/** Reading and replacing values by a path such as `"user.password"`, own properties only. */

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
