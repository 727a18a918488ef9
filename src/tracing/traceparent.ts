/** The header `traceparent`: https://www.w3.org/TR/trace-context/#traceparent-header */
import type { SpanContext } from "@opentelemetry/api";

/** Later versions than 00 may have more fields at the end. */
const TRACEPARENT =
  /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(?:$|-)/;

/** Length of version 00, in characters. */
const LENGTH = 55;
/** Longer headers of later versions are not read, in characters. */
const MAX_LENGTH = 512;

const SAMPLED = 1;

/** @returns undefined for anything that is not valid */
export function parseTraceparent(text: unknown): SpanContext | undefined {
  if (typeof text !== "string" || text.length > MAX_LENGTH) return undefined;
  const [, traceId, spanId, flags] = TRACEPARENT.exec(text) ?? [];
  if (traceId === undefined) return undefined;
  if (text.startsWith("00") && text.length !== LENGTH) return undefined;
  const traceFlags = parseInt(flags!, 16) & SAMPLED;
  return { traceId, spanId: spanId!, traceFlags, isRemote: true };
}

export function formatTraceparent(span: SpanContext): string {
  const isSampled = (span.traceFlags & SAMPLED) !== 0;
  return `00-${span.traceId}-${span.spanId}-0${isSampled ? 1 : 0}`;
}
