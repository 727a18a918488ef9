/** A copy by way of JSON: functions and undefined are dropped, dates become strings. */
export function deepCopy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}
