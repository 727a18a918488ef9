/** Whether `b` starts with all of `a`; false when either is empty. */
export function arrayStartingMatch(
  a: readonly unknown[],
  b: readonly unknown[],
): boolean {
  if (a.length === 0 || b.length === 0) return false;
  return a.every((item, i) => item === b[i]);
}
