/** How a client is told that the `create` middleware refused it. */
import { httpFactsOf, toError } from "../../errors";
import type { Refusal } from "./spark";

/** RFC 6455, section 5.5: a control frame has 125 bytes, two of which are the code. */
const MAX_REASON_BYTES = 123;

const POLICY_VIOLATION = 1008;
const INTERNAL_ERROR = 1011;
const TRY_AGAIN_LATER = 1013;

/** For an error that carries a status its own words; any other may hold what clients must not see. */
export function refusalOf(error: unknown): Refusal {
  const { status = 0 } = httpFactsOf(error);
  if (status < 400)
    return { code: INTERNAL_ERROR, reason: "connection refused" };
  const { message } = toError(error);
  return { code: closeCodeOf(status), reason: shorten(message), message };
}

function closeCodeOf(status: number): number {
  if (status === 429 || status === 503) return TRY_AGAIN_LATER;
  return status < 500 ? POLICY_VIOLATION : INTERNAL_ERROR;
}

function shorten(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_REASON_BYTES) return text;
  let end = MAX_REASON_BYTES;
  while ((bytes[end]! & 0xc0) === 0x80) end--; // not within a character
  return bytes.toString("utf8", 0, end);
}
