/** The target and host of an HTTP request, checked before anything else reads them. */
import type { IncomingMessage } from "node:http";

const SLASH = 47;

/** `http://user@host:1/path`: its host and the rest. */
const ABSOLUTE_FORM = /^[a-z][a-z\d+.-]*:\/\/(?:[^/?#@]*@)?([^/?#]*)/i;
/** A host is never longer (RFC 1035 section 2.3.4), with its port. */
const MAX_HOST_LENGTH = 262;
const NOT_IN_HOSTS = /[\s/\\?#@]/;

/**
 * Put the target into the form that everything else reads: of an absolute URL, as proxies send them, `req.url` keeps
 * path and query, and its host takes the place of the header (RFC 9112 section 3.2.2).
 * @returns false when the request does not say clearly which host it is for (RFC 9112 section 3.2): 400
 */
export function normalizeTarget(req: IncomingMessage): boolean {
  const { url = "/", headers, rawHeaders } = req;
  if (url.charCodeAt(0) !== SLASH) {
    const match = ABSOLUTE_FORM.exec(url);
    if (match) {
      const rest = url.slice(match[0].length);
      req.url = rest.startsWith("/") ? rest : `/${rest}`;
      headers.host = match[1];
    }
  }
  return isHostValid(headers.host) && hasOneHost(rawHeaders);
}

/** HTTP/1.0 has no such header; node refuses later versions without one. */
function isHostValid(host: string | undefined): boolean {
  if (host === undefined) return true;
  return host.length <= MAX_HOST_LENGTH && !NOT_IN_HOSTS.test(host);
}

/** Node keeps the first of several silently; a proxy in front may have gone by the last. */
function hasOneHost(rawHeaders: readonly string[]): boolean {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 4 && name.toLowerCase() === "host") count++;
  }
  return count <= 1;
}
