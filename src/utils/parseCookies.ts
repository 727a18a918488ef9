/**
 * The cookies of a request as received (no url-decoding).
 * @param req anything with node's `headers`; without a cookie header the result is empty
 * @returns an object without a prototype, so that a cookie named `__proto__` is harmless
 */
export function parseCookies(req: {
  headers?: { cookie?: string | string[] };
}): Record<string, string> {
  const cookies = Object.create(null) as Record<string, string>;
  const header = req.headers?.cookie;
  if (!header) return cookies;

  const text = Array.isArray(header) ? header.join("; ") : header;
  for (const pair of text.split(";")) {
    const equals = pair.indexOf("=");
    const name = (equals === -1 ? pair : pair.slice(0, equals)).trim();
    if (name !== "")
      cookies[name] = equals === -1 ? "" : pair.slice(equals + 1).trim();
  }
  return cookies;
}
