/** Reads the header `Cookie` (RFC 6265bis section 5.8.3). */

/** Names and decoded values. It has no prototype, so that a cookie named `__proto__` is harmless. */
export type Cookies = Record<string, string>;

/**
 * The cookies of a header. Of several cookies of one name the first counts: browsers send the one with the longest path
 * first. Values are percent-decoded where that is possible, and lose the quotes around them.
 */
export function parseCookieHeader(header: string | undefined): Cookies {
  const cookies = Object.create(null) as Cookies;
  if (!header) return cookies;
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    if (equals === -1) continue;
    const name = pair.slice(0, equals).trim();
    if (name !== "" && cookies[name] === undefined)
      cookies[name] = decode(pair.slice(equals + 1).trim());
  }
  return cookies;
}

function decode(text: string): string {
  const isQuoted =
    text.length > 1 && text.startsWith('"') && text.endsWith('"');
  const value = isQuoted ? text.slice(1, -1) : text;
  if (!value.includes("%")) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
