/** Writes a complete response. */
import {
  ServerResponse,
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
} from "node:http";
import { log } from "../../log/log";
import {
  chooseEncoding,
  compressBody,
  isCompressible,
  type Encoding,
} from "./compression";
import {
  getFlat,
  setFlat,
  setLength,
  type FlatHeaders,
  mergeHeaders,
  type HeaderPairs,
} from "./headers";
import type { WebRequest } from "./webRequest";

/** The substitute for an invalid status. */
const SERVER_ERROR = 500;

/**
 * Send a whole body with the request's headers and status; for HEAD only its length.
 * @throws TypeError when one of the headers is not valid
 */
export function writeBody(
  request: WebRequest,
  body: string | Buffer,
): void | Promise<void> {
  const { res, config } = request;
  if (!canWrite(res)) return;
  const head = request.flatHeaders();
  if (config.compress && mayCompress(request, head)) {
    addVary(head);
    const encoding = encodingFor(request, body.length);
    if (encoding) return writeCompressed(request, body, head, encoding);
  }
  finish(request, body, head);
}

/** Whether the connection ends with this response. */
function isLast({ server, res, hasSuccessor }: WebRequest): boolean {
  return (server.isDraining && !hasSuccessor) || !res.shouldKeepAlive;
}

/**
 * As `writeBody`, with an encoding chosen earlier: the ETag of a file depends on it.
 * @throws TypeError when one of the headers is not valid
 */
export function writeEncoded(
  request: WebRequest,
  body: string | Buffer,
  encoding: Encoding | undefined,
): void | Promise<void> {
  if (!canWrite(request.res)) return;
  const head = request.flatHeaders();
  if (encoding && !isBodiless(statusOf(request)))
    return writeCompressed(request, body, head, encoding);
  finish(request, body, head);
}

/** Whether a response with this status never has a body (RFC 9110 sections 15.3.5, 15.3.6, 15.4.5). */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

/** The headers of a response without a body. */
export function describeNoBody(status: number, head: FlatHeaders): void {
  setFlat(head, "transfer-encoding", undefined);
  // clients wait for the body of a 205 unless it says that it has none (RFC 9112 section 6.3)
  setFlat(head, "content-length", status === 205 ? "0" : undefined);
}

/** The encoding of a compressible body, or undefined if the client accepts none or the body is too short. */
export function encodingFor(
  { req, config }: WebRequest,
  bytes: number,
): Encoding | undefined {
  const threshold = config.compressThreshold;
  if (bytes < threshold) return undefined;
  return chooseEncoding(req.headers["accept-encoding"]);
}

/** Only a complete body of a compressible type, which is not encoded yet and may be transformed. */
function mayCompress(request: WebRequest, head: FlatHeaders): boolean {
  return (
    isCompressible(getFlat(head, "content-type")) &&
    !isBodiless(statusOf(request)) &&
    getFlat(head, "content-encoding") === undefined &&
    getFlat(head, "content-range") === undefined &&
    !/\bno-transform\b/i.test(getFlat(head, "cache-control") ?? "")
  );
}

async function writeCompressed(
  request: WebRequest,
  body: string | Buffer,
  head: FlatHeaders,
  encoding: Encoding,
): Promise<void> {
  const isWanted = () => canWrite(request.res);
  const compressed = await compressBody(
    encoding,
    body,
    isWanted,
    request.clientAddress,
  );
  if (!isWanted()) return;
  if (compressed) setFlat(head, "content-encoding", encoding);
  // the same bytes as before only after decoding (RFC 9110 section 8.8.1)
  const etag = getFlat(head, "etag");
  if (etag?.startsWith('"')) setFlat(head, "etag", `W/${etag}`);
  finish(request, compressed ?? body, head);
}

function finish(
  request: WebRequest,
  body: string | Buffer,
  head: FlatHeaders,
): void {
  const status = statusOf(request);
  if (isBodiless(status)) return endBodiless(request, status, head);
  const bytes = byteLengthOf(body);
  setLength(head, bytes);
  writeHead(request, status, head);
  sendBody(request, body, bytes);
}

function byteLengthOf(body: string | Buffer): number {
  return typeof body === "string" ? Buffer.byteLength(body) : body.length;
}

function sendBody(
  request: WebRequest,
  body: string | Buffer,
  bytes: number,
): void {
  const { res } = request;
  if (request.method === "HEAD" || bytes === 0) res.end();
  else endWith(res, body, bytes === body.length);
  boundSending(request);
}

/** End a response without a body. */
export function endBodiless(
  request: WebRequest,
  status: number,
  head: FlatHeaders,
): void {
  describeNoBody(status, head);
  writeHead(request, status, head);
  request.res.end();
}

/**
 * Write the status line and headers; one that node does not take gets a plain 500. While the server drains,
 * the connection is closed after the last response: otherwise responses to later pipelined requests would be lost.
 */
export function writeHead(
  request: WebRequest,
  status: number,
  head: FlatHeaders,
): void {
  if (request.method === "HEAD") setFlat(head, "transfer-encoding", undefined);
  if (isLast(request)) setFlat(head, "connection", "close");
  writeExactly(request.res, status, head);
}

/**
 * Write head and body together, before end(): node then sends one packet. `end(body)` alone would make it a `writev` of
 * two pieces, which costs a tenth of the whole request (bench/http.ts). The socket is corked here, since `write` would
 * do so until the next tick.
 */
function endWith(
  res: ServerResponse,
  body: string | Buffer,
  isAscii: boolean,
): void {
  const { socket } = res;
  if (!socket) {
    res.end(body); // an earlier response on the same connection is not finished yet
    return;
  }
  socket.cork();
  // the same bytes, but copied instead of converted
  if (isAscii) res.write(body, "latin1");
  else res.write(body);
  socket.uncork();
  res.end();
}

/** A slow consumer must not keep its response in memory forever. */
function boundSending({ res, config }: WebRequest): void {
  if (res.writableLength > 0) res.socket?.setTimeout(config.sendTimeout);
}

/** Whether a response can still be sent. */
export function canWrite(res: ServerResponse): boolean {
  return !res.headersSent && !res.writableEnded && !res.destroyed;
}

/** The status that the action set; 500 for an invalid one. */
export function statusOf({ responseHttpCode }: WebRequest): number {
  return responseHttpCode === 200 ? 200 : finalStatus(responseHttpCode);
}

/** The status as a number; 500 for an invalid one. */
export function finalStatus(code: number | string): number {
  const status =
    typeof code === "number" ? Math.trunc(code) : parseInt(code, 10);
  if (status >= 200 && status <= 999) return status;
  log(`${code} is not a valid HTTP status; 500 was sent`, "error");
  return SERVER_ERROR;
}

function addVary(head: FlatHeaders): void {
  const present = getFlat(head, "vary");
  if (present === undefined) head.push("vary", "Accept-Encoding");
  else if (!/\*|accept-encoding/i.test(present))
    setFlat(head, "vary", `${present}, Accept-Encoding`);
}

// --- Responses whose header methods write to the list of headers of their request.

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
