/** The distinct items of `list`; of equal items the last one keeps its place. */
export function arrayUnique<T>(list: readonly T[]): T[] {
  return list.filter((item, i) => list.indexOf(item, i + 1) === -1);
}
