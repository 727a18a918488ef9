/** Memoizes results while their inputs are unchanged. */

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
