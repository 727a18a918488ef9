/** The cookies of one server, for environments whose fetch keeps none. */
import type { CookieStore } from "./http";

/** More are not kept: RFC 6265 section 6.1 asks for at least 50 of one host. */
const MAX_COOKIES = 100;

export function cookieStore(): CookieStore & {
  value(name: string): string | undefined;
} {
  const cookies = new Map<string, { value: string; expiresAt: number }>();
  const live = () => {
    for (const [name, { expiresAt }] of cookies)
      if (expiresAt <= Date.now()) cookies.delete(name);
    return [...cookies];
  };
  return {
    value: (name) => new Map(live()).get(name)?.value,
    header: () =>
      live()
        .map(([name, { value }]) => `${name}=${value}`)
        .join("; ") || undefined,
    keep: (response) => {
      for (const line of response.headers.getSetCookie()) {
        const [pair = "", ...attributes] = line.split(";");
        const end = pair.indexOf("=");
        if (end < 1) continue;
        const name = pair.slice(0, end).trim();
        cookies.delete(name); // so that the newest is the last
        if (cookies.size < MAX_COOKIES)
          cookies.set(name, {
            value: pair.slice(end + 1).trim(),
            expiresAt: expiryOf(attributes),
          });
      }
    },
  };
}

/** `Max-Age` goes before `Expires` (RFC 6265 section 5.3). */
function expiryOf(attributes: string[]): number {
  let expiresAt = Infinity;
  for (const attribute of attributes) {
    const [, name = "", value = ""] =
      /^\s*([^=]*)=?(.*)$/s.exec(attribute) ?? [];
    if (/^max-age$/i.test(name.trim()) && /^-?\d+$/.test(value.trim()))
      return Date.now() + Number(value) * 1000;
    if (/^expires$/i.test(name.trim())) {
      const time = Date.parse(value);
      if (!Number.isNaN(time)) expiresAt = time;
    }
  }
  return expiresAt;
}
