/** Requests for a part of a file (RFC 9110 section 14). */
import type { IncomingHttpHeaders } from "node:http";
import { isRangeValid, type Validators } from "./preconditions";

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
