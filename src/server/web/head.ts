/**
 * Writes the head of a response as one text. Node puts heads together header by header, and checks each again, which
 * takes a tenth of the time of a small response (bench/http.ts). What it adds itself is added here in the same form, and
 * the first head of a process is compared with that which node makes: when they differ, node makes all of them.
 */
import { ServerResponse } from "node:http";

/** What node's own function works with. */
interface Internals extends ServerResponse {
  _header: string | null;
  _headerSent: boolean;
  _contentLength: number | null;
  _removedConnection: boolean;
  _removedContLen: boolean;
  _defaultKeepAlive: boolean;
  _keepAliveTimeout: number;
  _maxRequestsPerSocket: number | null;
  maxRequestsOnConnectionReached?: boolean;
}

type StoreHeader = (
  this: ServerResponse,
  statusLine: string,
  headers: unknown,
) => void;

/** Called by `writeHead`. */
export const nodesStoreHeader = (
  ServerResponse.prototype as unknown as { _storeHeader?: StoreHeader }
)._storeHeader;

/** Node's, to see whether a response has another one. */
const writeHead: unknown = Reflect.get(ServerResponse.prototype, "writeHead");

interface Head {
  /** Headers with the ends of their lines, without those that frame the response. */
  lines: string;
  bytes: number;
}

/** Set while `writeHead` is called for it. */
let current: Head | undefined;

/** Whether our heads are the same as node's; undefined before the first. */
let isSame: boolean | undefined;

/** Whether nobody has put a function of their own in place of node's. */
export function canWriteLines(res: ServerResponse): boolean {
  return isSame !== false && res.writeHead === writeHead;
}

/** Write the status line and the lines of headers for a body of so many bytes. */
export function writeLines(
  res: ServerResponse,
  status: number,
  head: Head,
): void {
  current = head;
  try {
    res.writeHead(status);
  } finally {
    current = undefined;
  }
}

/** In place of node's function, in the class of our responses. */
export function storeHeader(
  this: ServerResponse,
  statusLine: string,
  headers: unknown,
): void {
  if (current === undefined) {
    nodesStoreHeader!.call(this, statusLine, headers);
    return;
  }
  const res = this as Internals;
  const head = current;
  if (isSame === true && isUsual(res)) {
    res._header = textOf(res, statusLine, head);
    res._headerSent = false;
    res._contentLength = head.bytes;
    res._removedContLen = false;
    return;
  }
  const isFirst = isSame === undefined && isUsual(res);
  const before = isFirst ? textOf(res, statusLine, head) : "";
  nodesStoreHeader!.call(this, statusLine, listOf(head));
  // a second may have begun meanwhile
  if (isFirst)
    isSame =
      (res._header === before ||
        res._header === textOf(res, statusLine, head)) &&
      res._contentLength === head.bytes;
}

/** The connection stays open after the response, as it does nearly always. */
function isUsual(res: Internals): boolean {
  return (
    res.shouldKeepAlive &&
    res.sendDate &&
    res._removedConnection !== true &&
    res.maxRequestsOnConnectionReached !== true &&
    !res.chunkedEncoding
  );
}

function textOf(
  res: Internals,
  statusLine: string,
  { lines, bytes }: Head,
): string {
  return `${statusLine}${lines}content-length: ${bytes}\r\n${endFor(res)}`;
}

function listOf({ lines, bytes }: Head): string[] {
  const list: string[] = [];
  for (const line of lines.split("\r\n")) {
    const colon = line.indexOf(": ");
    if (colon !== -1) list.push(line.slice(0, colon), line.slice(colon + 2));
  }
  list.push("content-length", String(bytes));
  return list;
}

/** The lines that node adds, for one second. */
let end = { second: NaN, timeoutMs: NaN, max: NaN, text: "" };

function endFor(res: Internals): string {
  const second = Math.floor(Date.now() / 1000);
  const timeoutMs = res._defaultKeepAlive ? res._keepAliveTimeout : 0;
  const max = res._maxRequestsPerSocket ?? 0;
  if (end.second !== second || end.timeoutMs !== timeoutMs || end.max !== max)
    end = { second, timeoutMs, max, text: endOf(second, timeoutMs, max) };
  return end.text;
}

function endOf(second: number, timeoutMs: number, max: number): string {
  const date = new Date(second * 1000).toUTCString();
  const limit = max > 0 ? `, max=${max}` : "";
  const keepAlive = timeoutMs
    ? `Keep-Alive: timeout=${Math.floor(timeoutMs / 1000)}${limit}\r\n`
    : "";
  return `Date: ${date}\r\nConnection: keep-alive\r\n${keepAlive}\r\n`;
}
