/** Params as the fields of a query or of a form. */

/** Nested values in brackets: `list[]=1`, `address[city]=Rome`; dates as ISO texts, null as an empty text. */
export function pairsOf([key, value]: [string, unknown]): [string, string][] {
  if (value === undefined) return [];
  if (value instanceof Date) return [[key, value.toISOString()]];
  if (value === null) return [[key, ""]];
  if (typeof value !== "object") return [[key, `${value as string | number}`]];
  return Object.entries(value).flatMap(([inner, item]) => {
    const isPlain = typeof item !== "object" || item === null;
    const name = Array.isArray(value) && isPlain ? "" : inner;
    return pairsOf([`${key}[${name}]`, item]);
  });
}
