/** Results that are kept while what they were made of stays the same. */

/** The same function, which computes anew only when its argument is another than in the call before. */
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

/** A record with its names and values in turn, to notice a change in place: configurations are changed at run time. */
export interface Snapshot {
  record: object | undefined;
  values: unknown[];
}

export function snapshotOf(record: object | undefined): Snapshot {
  return { record, values: Object.entries(record ?? {}).flat() };
}

/** Whether a record is the one of the snapshot, and has the same names and values in the same order. */
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
