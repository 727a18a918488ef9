/** Tells which browser a websocket comes from, by the means of the web server: both know it by the same name. */
import type { IncomingMessage } from "node:http";
import { parseCookies } from "../../utils/parseCookies";
import { queryOf } from "./query";

/** As for the web server: longer or stranger ones are not ours. */
const USABLE = /^[\x21-\x7e]{1,256}$/;

/**
 * The value that the client's script put into the URL, else the cookie.
 * @returns undefined for a client without either
 */
export function fingerprintOf(
  req: IncomingMessage,
  cookieKey: string,
): string | undefined {
  const named = queryOf(req.url ?? "/")[cookieKey];
  if (named !== undefined && USABLE.test(named)) return named;
  if (req.headers.cookie === undefined) return undefined;
  const cookie = parseCookies(req)[cookieKey];
  return cookie !== undefined && USABLE.test(cookie) ? cookie : undefined;
}
