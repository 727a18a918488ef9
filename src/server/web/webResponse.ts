/** Responses whose header methods write to the list of headers of their request. */
import {
  ServerResponse,
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
} from "node:http";
import { mergeHeaders, type FlatHeaders, type HeaderPairs } from "./headers";

/** The arguments of `writeHead`. */
type GivenHeaders = OutgoingHttpHeaders | OutgoingHttpHeader[];

/** The request whose headers a response has. */
interface Owner {
  responseHeaders: HeaderPairs;
  /** The headers and status of a response that the project writes itself. */
  rawPairs(): HeaderPairs;
  rawStatus(): number;
}

export class WebResponse extends ServerResponse {
  /** The owner of the list; undefined before there is a request, and after its headers are written. */
  declare owner: Owner | undefined;
  /** Whether it has, or had, its own headers. */
  declare isTouched: boolean;
  /** The value assigned to `statusCode`, if any. */
  declare ownStatus: number | undefined;

  override setHeader(
    name: string,
    value: number | string | readonly string[],
  ): this {
    this.isTouched = true;
    super.setHeader(name, value); // throws for an invalid header
    this.owner?.responseHeaders.push([name, value]);
    return this;
  }

  override appendHeader(name: string, value: string | readonly string[]): this {
    this.isTouched = true;
    super.appendHeader(name, value);
    const adds = name.length === 10 && name.toLowerCase() === "set-cookie";
    const sent = adds ? value : this.getHeader(name);
    this.owner?.responseHeaders.push([name, sent]);
    return this;
  }

  override removeHeader(name: string): void {
    super.removeHeader(name);
    const pairs = this.owner?.responseHeaders;
    if (!pairs) return;
    const lower = name.toLowerCase();
    for (let i = pairs.length - 1; i >= 0; i--)
      if (String(pairs[i]![0]).toLowerCase() === lower) pairs.splice(i, 1);
  }

  /**
   * While there is an owner, the project writes the response, possibly only by `write` or `end`: the list of the
   * request is also sent. Arguments of this call take precedence.
   */
  override writeHead(
    status: number,
    reason?: string | GivenHeaders,
    headers?: GivenHeaders,
  ): this {
    const pairs = this.owner?.rawPairs() ?? [];
    this.owner = undefined;
    const text = typeof reason === "string" ? reason : undefined;
    const given = typeof reason === "string" ? headers : (reason ?? headers);
    if (pairs.length === 0) return this.send(status, text, given);
    const trailer = this.getHeader("trailer");
    replaceHeaders(this, mergeHeaders([...pairs, ...pairsOf(given)]));
    if (trailer !== undefined) super.setHeader("Trailer", trailer); // the list does not contain it
    return this.send(status, text, undefined);
  }

  private send(
    status: number,
    reason: string | undefined,
    headers: GivenHeaders | undefined,
  ): this {
    return reason === undefined
      ? super.writeHead(status, headers)
      : super.writeHead(status, reason, headers);
  }
}

/** The headers of `writeHead`: an object, or alternating names and values. */
function pairsOf(headers: GivenHeaders | undefined): HeaderPairs {
  if (headers === undefined) return [];
  if (!Array.isArray(headers)) return Object.entries(headers);
  const pairs: HeaderPairs = [];
  for (let i = 0; i + 1 < headers.length; i += 2)
    pairs.push([String(headers[i]), headers[i + 1]]);
  return pairs;
}

// on the prototype: fields would make each response's construction slower (bench/http.ts)
WebResponse.prototype.owner = undefined;
WebResponse.prototype.isTouched = false;
WebResponse.prototype.ownStatus = undefined;

/** Node reads it for an implicit head, when the body begins. */
Object.defineProperty(WebResponse.prototype, "statusCode", {
  get(this: WebResponse) {
    return this.ownStatus ?? this.owner?.rawStatus() ?? 200;
  },
  set(this: WebResponse, status: number) {
    this.ownStatus = status;
  },
});

/** The headers that were set on a response itself, in order. */
export function ownHeaders(res: ServerResponse): HeaderPairs {
  return res
    .getHeaderNames()
    .map((name): [string, OutgoingHttpHeader | undefined] => [
      name,
      res.getHeader(name),
    ]);
}

/** Write the status line and only these headers, without the response's own. */
export function writeExactly(
  res: ServerResponse,
  status: number,
  flat: FlatHeaders,
): void {
  const isTouched =
    res instanceof WebResponse
      ? res.isTouched
      : res.getHeaderNames().length > 0;
  if (!isTouched) {
    if (res instanceof WebResponse) res.owner = undefined;
    res.writeHead(status, flat);
    return;
  }
  // given to `writeHead` beside headers of the response's own, only the last of several cookies would be left
  replaceHeaders(res, flat);
  res.writeHead(status);
}

/** Replace the response's own headers by these. */
export function replaceHeaders(res: ServerResponse, flat: FlatHeaders): void {
  if (res instanceof WebResponse) res.owner = undefined;
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  for (let i = 0; i < flat.length; i += 2)
    res.appendHeader(flat[i]!, flat[i + 1]!);
}
