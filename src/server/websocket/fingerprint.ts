/** Tells which browser a websocket comes from, by the means of the web server: both know it by the same name. */
import type { IncomingMessage } from "node:http";
import { parseCookies } from "../../utils/parseCookies";
import { isAllowedOrigin } from "./origin";
import { queryOf } from "./query";
import type { PrimusOptions } from "./websocketConfig";

/** As for the web server: longer or stranger ones are not ours. */
const USABLE = /^[\x21-\x7e]{1,256}$/;

/**
 * The value that the client's script put into the URL, else the cookie.
 * @param origins sites whose pages may use the cookie, beside those of this site
 * @returns undefined for a client without either
 */
export function fingerprintOf(
  req: IncomingMessage,
  cookieKey: string,
  origins: PrimusOptions["origins"],
): string | undefined {
  const named = queryOf(req.url ?? "/")[cookieKey];
  if (named !== undefined && USABLE.test(named)) return named;
  if (req.headers.cookie === undefined || !mayUseCookie(req, origins))
    return undefined;
  const cookie = parseCookies(req)[cookieKey];
  return cookie !== undefined && USABLE.test(cookie) ? cookie : undefined;
}

/**
 * Browsers send the cookie along whichever page opens the websocket: a page of another site must not become this
 * browser's session by that. Which sites may is known only where they are named: `"*"` names none.
 */
function mayUseCookie(
  { headers }: IncomingMessage,
  origins: PrimusOptions["origins"],
): boolean {
  const { origin, host } = headers;
  if (origin === undefined) return true; // no browser
  const forwarded = headers["x-forwarded-host"];
  const [, site] = origin.toLowerCase().split("://");
  if (site === host?.toLowerCase()) return true;
  if (site !== undefined && site === forwarded?.toString().toLowerCase())
    return true;
  return origins !== undefined && isAllowedOrigin(origin, withoutStar(origins));
}

function withoutStar(
  origins: NonNullable<PrimusOptions["origins"]>,
): NonNullable<PrimusOptions["origins"]> {
  if (origins instanceof RegExp) return origins;
  const list = Array.isArray(origins) ? origins : origins.split(",");
  return list.filter(
    (allowed) => typeof allowed !== "string" || allowed.trim() !== "*",
  );
}
