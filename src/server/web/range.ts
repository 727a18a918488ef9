/** Conditional and partial requests for files (RFC 9110 sections 13 and 14). */
import type { IncomingHttpHeaders } from "node:http";

/** First and last byte. */
export interface ByteRange {
  start: number;
  end: number;
}

export interface Validators {
  etag: string | undefined;
  lastModified: Date | undefined;
}

/** `W/"<size>-<mtime>"` in hex; each content encoding of a file has its own. */
export function etagOf(
  size: number,
  lastModified: Date,
  encoding?: string,
): string {
  const suffix = encoding ? `-${encoding}` : "";
  const mtime = Math.floor(lastModified.getTime());
  return `W/"${size.toString(16)}-${mtime.toString(16)}${suffix}"`;
}

/** Whether what the client has is still good. If-None-Match decides alone when it can be compared. */
export function isFresh(
  headers: IncomingHttpHeaders,
  { etag, lastModified }: Validators,
): boolean {
  const noneMatch = headers["if-none-match"];
  if (noneMatch !== undefined && etag !== undefined) {
    if (/(?:^|,)\s*no-cache\s*(?:,|$)/i.test(headers["cache-control"] ?? ""))
      return false;
    return listsEtag(noneMatch, etag);
  }
  const since = headers["if-modified-since"];
  if (since === undefined || !lastModified) return false;
  const date = Date.parse(since);
  return Number.isFinite(date) && seconds(lastModified) <= date;
}

/**
 * The bytes that the client wants.
 * @returns undefined for all of them, `"unsatisfiable"` when the file has none of those
 */
export function requestedRange(
  headers: IncomingHttpHeaders,
  length: number,
  { lastModified }: Validators,
): ByteRange | "unsatisfiable" | undefined {
  if (headers.range === undefined || !isRangeValid(headers, lastModified))
    return undefined;
  const spec = rangeSpec(headers.range);
  if (!spec) return undefined; // several ranges, or none that we know: all of the file is always right
  const { first, last } = spec;
  if (first === "") {
    const count = Math.min(Number(last), length);
    return count === 0
      ? "unsatisfiable"
      : { start: length - count, end: length - 1 };
  }
  const start = Number(first);
  const end = last === "" ? length - 1 : Math.min(Number(last), length - 1);
  if (last !== "" && Number(last) < start) return undefined;
  return start >= length ? "unsatisfiable" : { start, end };
}

/**
 * `bytes=first-last`, either of them perhaps empty. Each part is trimmed before it is matched: in one expression the
 * spaces around a digit that is missing could be shared out in many ways, and all of them would be tried.
 */
function rangeSpec(range: string): { first: string; last: string } | undefined {
  const equals = range.indexOf("=");
  const dash = range.indexOf("-", equals + 1);
  if (equals === -1 || dash === -1) return undefined;
  if (range.slice(0, equals).trim().toLowerCase() !== "bytes") return undefined;
  const first = range.slice(equals + 1, dash).trim();
  const last = range.slice(dash + 1).trim();
  if (first === "" && last === "") return undefined;
  return /^\d*$/.test(first) && /^\d*$/.test(last)
    ? { first, last }
    : undefined;
}

/** If-Range: a part is only good for what the client has if the file has not changed since. */
function isRangeValid(
  headers: IncomingHttpHeaders,
  lastModified: Date | undefined,
): boolean {
  const ifRange = headers["if-range"];
  if (ifRange === undefined) return true;
  // weak etags never match here, and ours are weak: then all of the file is sent
  if (typeof ifRange !== "string" || ifRange.includes('"')) return false;
  return (
    lastModified !== undefined && seconds(lastModified) === Date.parse(ifRange)
  );
}

function listsEtag(list: string, etag: string): boolean {
  for (const entry of list.split(",")) {
    const candidate = entry.trim();
    if (candidate === "*" || candidate === etag || `W/${candidate}` === etag)
      return true;
  }
  return false;
}

/** HTTP dates have no milliseconds. */
function seconds(date: Date): number {
  return Math.floor(date.getTime() / 1000) * 1000;
}
