/** Validators of files, and the conditions that clients attach to requests for them (RFC 9110 sections 8.8 and 13). */
import type { IncomingHttpHeaders } from "node:http";

export interface Validators {
  etag: string | undefined;
  lastModified: Date | undefined;
}

/** Send the file, "not modified" (304), or "precondition failed" (412). */
export type Verdict = "send" | "fresh" | "failed";

interface EtagOptions {
  /** Each content encoding of a file has a tag of its own. */
  encoding?: string;
  /** A strong tag: the same tag means the same bytes, so that parts of the file can be combined. */
  isStrong?: boolean;
}

/** The ETag of version 29: `<size>-<mtime>` in hex. */
export function versionOf(size: number, lastModified: Date): string {
  return `${size.toString(16)}-${Math.floor(lastModified.getTime()).toString(16)}`;
}

/** The tag of one version of a file. */
export function etagOf(
  version: string,
  { encoding, isStrong }: EtagOptions = {},
): string {
  const tag = encoding ? `"${version}-${encoding}"` : `"${version}"`;
  return isStrong ? tag : `W/${tag}`;
}

/** All conditions in the order of RFC 9110 section 13.2.2. Other methods than GET and HEAD read no file. */
export function evaluate(
  headers: IncomingHttpHeaders,
  method: string,
  validators: Validators,
): Verdict {
  if (method !== "GET" && method !== "HEAD") return "send";
  if (!isStillTheSame(headers, validators)) return "failed";
  const noneMatch = headers["if-none-match"];
  if (noneMatch !== undefined) {
    const isKnown = lists(noneMatch, validators.etag, weakly);
    return isKnown && !wantsFresh(headers) ? "fresh" : "send";
  }
  return isUnmodified(headers["if-modified-since"], validators)
    ? "fresh"
    : "send";
}

/** As in version 29: only If-None-Match is checked, and only if there is an ETag. */
export function isFresh(
  headers: IncomingHttpHeaders,
  validators: Validators,
): boolean {
  const noneMatch = headers["if-none-match"];
  if (noneMatch === undefined || validators.etag === undefined)
    return isUnmodified(headers["if-modified-since"], validators);
  return !wantsFresh(headers) && lists(noneMatch, validators.etag, weakly);
}

/** If-Match, and without it If-Unmodified-Since: whether the file is still the one that the client knows. */
function isStillTheSame(
  headers: IncomingHttpHeaders,
  validators: Validators,
): boolean {
  const match = headers["if-match"];
  if (match !== undefined) return lists(match, validators.etag, strongly);
  const since = headers["if-unmodified-since"];
  return (
    since === undefined ||
    Number.isNaN(Date.parse(since)) ||
    validators.lastModified === undefined ||
    isUnmodified(since, validators)
  );
}

/** If-Range: a part is valid only if the file has not changed since. */
export function isRangeValid(
  { "if-range": ifRange }: IncomingHttpHeaders,
  { etag, lastModified }: Validators,
): boolean {
  if (ifRange === undefined) return true;
  if (typeof ifRange !== "string") return false;
  // parts of files that are merely equivalent cannot be combined
  if (ifRange.includes('"'))
    return etag !== undefined && strongly(ifRange.trim(), etag);
  return (
    lastModified !== undefined && seconds(lastModified) === Date.parse(ifRange)
  );
}

function isUnmodified(
  since: string | undefined,
  { lastModified }: Validators,
): boolean {
  if (since === undefined || !lastModified) return false;
  const date = Date.parse(since);
  return Number.isFinite(date) && seconds(lastModified) <= date;
}

/** Some clients also send validators when reloading. */
function wantsFresh(headers: IncomingHttpHeaders): boolean {
  const directives = headers["cache-control"]?.toLowerCase().split(",") ?? [];
  return directives.some((directive) => directive.trim() === "no-cache");
}

/** `*` stands for any file that exists. */
function lists(
  list: string,
  etag: string | undefined,
  isEqual: (candidate: string, etag: string) => boolean,
): boolean {
  for (const entry of list.split(",")) {
    const candidate = entry.trim();
    if (candidate === "*") return true;
    if (etag !== undefined && isEqual(candidate, etag)) return true;
  }
  return false;
}

function weakly(candidate: string, etag: string): boolean {
  return opaque(candidate) === opaque(etag);
}

function strongly(candidate: string, etag: string): boolean {
  return candidate === etag && !etag.startsWith("W/");
}

function opaque(etag: string): string {
  return etag.startsWith("W/") ? etag.slice(2) : etag;
}

/** HTTP dates have no milliseconds. */
function seconds(date: Date): number {
  return Math.floor(date.getTime() / 1000) * 1000;
}

// --- Requests for a part of a file (RFC 9110 section 14).

/** First and last byte. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * The requested bytes.
 * @returns undefined for the whole file, `"unsatisfiable"` if the file has none of them
 */
export function requestedRange(
  headers: IncomingHttpHeaders,
  length: number,
  validators: Validators,
): ByteRange | "unsatisfiable" | undefined {
  if (headers.range === undefined || !isRangeValid(headers, validators))
    return undefined;
  const spec = rangeSpec(headers.range);
  if (!spec) return undefined; // several ranges, or an unknown unit: the whole file is always a valid response
  const { first, last } = spec;
  if (first === "") {
    if (Number(last) === 0) return "unsatisfiable";
    if (length === 0) return undefined; // the whole file, because it is shorter than the suffix
    return { start: Math.max(0, length - Number(last)), end: length - 1 };
  }
  const start = Number(first);
  const end = last === "" ? length - 1 : Math.min(Number(last), length - 1);
  if (last !== "" && Number(last) < start) return undefined;
  return start >= length ? "unsatisfiable" : { start, end };
}

/**
 * `bytes=first-last`, either of which may be empty. Each part is trimmed before it is matched: in one expression the
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
