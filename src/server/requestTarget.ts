/** The version, target, host and number of headers of an HTTP request, checked before anything else reads them. */
import type { IncomingMessage } from "node:http";

const SLASH = 47;

/** `http://user@host:1/path`: its host and the rest. */
const ABSOLUTE_FORM = /^[a-z][a-z\d+.-]*:\/\/(?:[^/?#@]*@)?([^/?#]*)/i;
/** A host is never longer (RFC 1035 section 2.3.4), with its port. */
const MAX_HOST_LENGTH = 262;
const NOT_IN_HOSTS = /[\s/\\?#@]/;

/** More than any browser and proxy sends; each one costs far more than its bytes, for as long as a websocket stays open. */
const MAX_HEADERS = 200;

const TOO_MANY_HEADERS = `the request has more than ${MAX_HEADERS} header lines`;
const NOT_ONE_HOST = "the request must name one host";
const NO_TARGET = "the target of the request must be a path or a URL";
const NO_VERSION = "the request must be HTTP/1.0 or HTTP/1.1";

/** The reason for refusing a request. */
export interface TargetFault {
  status: 400 | 431 | 505;
  text: string;
}

/**
 * Normalize the target: of an absolute URL, as proxies send it, `req.url` keeps path and query, and its host
 * replaces the header (RFC 9112 section 3.2.2).
 * @returns the fault of a request whose version, target or host is ambiguous (RFC 9112 sections 2.3 and 3), or that has
 * too many headers (RFC 6585 section 5); otherwise undefined
 */
export function normalizeTarget(req: IncomingMessage): TargetFault | undefined {
  // node serves request lines without a version, as HTTP/0.9 had them, and those of HTTP/2
  if (req.httpVersionMajor !== 1)
    return { status: req.httpVersionMajor < 1 ? 400 : 505, text: NO_VERSION };
  if (req.rawHeaders.length > 2 * MAX_HEADERS)
    return { status: 431, text: TOO_MANY_HEADERS };
  const text = faultOfTarget(req);
  return text === undefined ? undefined : { status: 400, text };
}

function faultOfTarget(req: IncomingMessage): string | undefined {
  const { url = "/", headers, rawHeaders } = req;
  if (url.charCodeAt(0) !== SLASH && !isForServer(req)) {
    const match = ABSOLUTE_FORM.exec(url);
    if (!match) return NO_TARGET;
    const rest = url.slice(match[0].length);
    req.url = rest.startsWith("/") ? rest : `/${rest}`;
    headers.host = match[1];
  }
  return isHostValid(headers.host) && hasOneHost(rawHeaders)
    ? undefined
    : NOT_ONE_HOST;
}

/** `OPTIONS *` asks about the server as a whole (RFC 9112 section 3.2.4). */
function isForServer({ method, url }: IncomingMessage): boolean {
  return url === "*" && method === "OPTIONS";
}

/** The last valid host: most requests name the same. */
let validHost: string | undefined;

/** HTTP/1.0 has no such header; node refuses later versions without one. */
function isHostValid(host: string | undefined): boolean {
  if (host === undefined || host === validHost) return true;
  if (host.length > MAX_HOST_LENGTH || NOT_IN_HOSTS.test(host)) return false;
  validHost = host;
  return true;
}

/** Node silently uses the first of several `Host` headers, while a proxy in front may have used the last. */
function hasOneHost(rawHeaders: readonly string[]): boolean {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 4 && isHost(name)) count++;
  }
  return count <= 1;
}

/** The two usual spellings are compared first, because `toLowerCase` allocates a string. */
function isHost(name: string): boolean {
  return name === "Host" || name === "host" || name.toLowerCase() === "host";
}
