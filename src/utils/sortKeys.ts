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
