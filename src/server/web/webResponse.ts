/** Responses whose header methods write into the one list of headers that their request has. */
import { ServerResponse, type OutgoingHttpHeader } from "node:http";
import type { FlatHeaders, HeaderPairs } from "./headers";

export class WebResponse extends ServerResponse {
  /** Whose list it is; undefined before there is a request, and once its headers are written. */
  declare owner: { responseHeaders: HeaderPairs } | undefined;
  /** Whether it has, or had, headers of its own. */
  declare isTouched: boolean;

  override setHeader(
    name: string,
    value: number | string | readonly string[],
  ): this {
    this.isTouched = true;
    super.setHeader(name, value); // throws what may not be in the list
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
}

// on the prototype: fields would make each response's construction slower (bench/http.ts)
WebResponse.prototype.owner = undefined;
WebResponse.prototype.isTouched = false;

/** The headers that were set on a response itself, in order. */
export function ownHeaders(res: ServerResponse): HeaderPairs {
  return res
    .getHeaderNames()
    .map((name): [string, OutgoingHttpHeader | undefined] => [
      name,
      res.getHeader(name),
    ]);
}

/** Write the status line and these headers, and none of the response's own. */
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
    res.writeHead(status, flat);
    return;
  }
  // given to `writeHead` beside headers of the response's own, only the last of several cookies would be left
  replaceHeaders(res, flat);
  res.writeHead(status);
}

/** Give the response these headers in place of its own. */
export function replaceHeaders(res: ServerResponse, flat: FlatHeaders): void {
  if (res instanceof WebResponse) res.owner = undefined;
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  for (let i = 0; i < flat.length; i += 2)
    res.appendHeader(flat[i]!, flat[i + 1]!);
}
