/** The params of a URL; the last one of a name. */
export function queryOf(url: string): Record<string, string> {
  const mark = url.indexOf("?");
  const query = Object.create(null) as Record<string, string>;
  if (mark === -1) return query;
  for (const [name, value] of new URLSearchParams(url.slice(mark)))
    query[name] = value;
  return query;
}
