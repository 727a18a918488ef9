/** Creates the spans of the framework through `@opentelemetry/api`. There is no tracer while tracing is off. */
import type * as otel from "@opentelemetry/api";
import type { SpanContext, TracerProvider } from "@opentelemetry/api";
import { isClientError } from "../exposure/errors";
import { isThenable } from "../utils/promises";
import type { SpanAttributes, TracingApi } from "./types";
import { api } from "../api";
import { requirePeer } from "../config/optionalPeer";
import { settings } from "../config/settings";
import { readActionheroVersion } from "../environment/env";
import { log } from "../log/log";

type OpenTelemetry = typeof otel;

interface SpanStart {
  /** One of few: names are what spans are grouped by. */
  name: string;
  /** Default: `internal`. Server and consumer spans begin a trace, or continue that of `remote`. */
  kind?: "internal" | "server" | "client" | "producer" | "consumer";
  attributes?: SpanAttributes;
  /** The `traceparent` of what caused it in another process. */
  remote?: unknown;
  /** The `tracestate` that belongs to it. */
  state?: string;
  /** The code of an error that is a usual outcome. */
  expects?: string;
  /** Create it only as a child of another span. */
  isDetail?: boolean;
}

/** Longest text of an attribute, in characters. */
const MAX_TEXT = 200;
/** https://www.w3.org/TR/trace-context/#tracestate-limits, in characters */
const MAX_STATE = 512;

const KEY = Symbol.for("actionhero.tracing");

/** On `globalThis`, as several copies of the package work for one server. Empty while tracing is off. */
const host = globalThis as { [KEY]?: { tracer?: Tracer } };
export const tracing = (host[KEY] ??= {});

/**
 * Do work with a span around it while tracing is on.
 * @param startOf called only then
 */
export function traced<T>(startOf: () => SpanStart, work: () => T): T {
  const { tracer } = tracing;
  return tracer ? tracer.run(startOf(), work) : work();
}

export class Tracer {
  private readonly entryKey: symbol;

  constructor(
    private readonly otel: OpenTelemetry,
    private readonly tracer: otel.Tracer,
  ) {
    this.entryKey = otel.createContextKey("actionhero.entry");
  }

  /** Do work with a span around it, which ends with the work. */
  run<T>(start: SpanStart, work: () => T): T {
    if (start.isDetail && this.active() === undefined) return work();
    const opened = this.open(start);
    try {
      const result = this.withSpan(opened, work);
      if (!isThenable(result)) {
        opened.end();
        return result;
      }
      // some query builders run the query on each `then`, so it is called once
      const settled = Promise.resolve(result);
      opened.endAfter(settled);
      return settled as T;
    } catch (error) {
      opened.endWith(error);
      throw error;
    }
  }

  /** Begin a span whose end is not that of a function. */
  open(start: SpanStart): OpenSpan {
    const { trace, context, ROOT_CONTEXT, SpanKind } = this.otel;
    const { name, kind = "internal", attributes } = start;
    const begins = kind === "server" || kind === "consumer";
    const remote = begins ? this.remoteOf(start) : undefined;
    let parent = begins ? ROOT_CONTEXT : context.active();
    if (remote) parent = trace.setSpanContext(parent, remote);
    const span = this.tracer.startSpan(
      name,
      {
        kind: SpanKind[kind.toUpperCase() as keyof typeof SpanKind],
        attributes,
        // the conventions ask for a link to the producer, whatever the parent is
        links:
          kind === "consumer" && remote ? [{ context: remote }] : undefined,
      },
      parent,
    );
    const opened = new OpenSpan(this, span, start.expects);
    const inside = trace.setSpan(parent, span);
    opened.context =
      kind === "server" ? inside.setValue(this.entryKey, opened) : inside;
    return opened;
  }

  /** Do work in the context of a span. */
  withSpan<T>(opened: OpenSpan, work: () => T): T {
    return this.otel.context.with(opened.context!, work);
  }

  /** Set attributes of the active span. */
  set(attributes: SpanAttributes): void {
    this.active()?.setAttributes(attributes);
  }

  /** Name the active span once its subject is known. */
  describe(name: string, attributes: SpanAttributes): void {
    this.active()?.updateName(name).setAttributes(attributes);
  }

  /** The span of the request or message that is worked on. */
  entry(): OpenSpan | undefined {
    return this.otel.context.active().getValue(this.entryKey) as
      OpenSpan | undefined;
  }

  /** Record the error on a span; an error that the client caused does not mark the span as failed. */
  fail(error: unknown, span = this.active()): void {
    if (span?.isRecording() !== true) return;
    span.setAttribute("error.type", errorTypeOf(error));
    if (isClientError(error)) return;
    span.recordException(error instanceof Error ? error : String(error));
    span.setStatus({
      code: this.otel.SpanStatusCode.ERROR,
      message: messageOf(error),
    });
  }

  /** Record the error on the span of the current message; a span below it describes the error. */
  failEntry(error: unknown): void {
    const span = this.entry()?.span;
    if (!isClientError(error)) return this.failAs(errorTypeOf(error), span);
    span?.setAttribute("error.type", errorTypeOf(error));
  }

  /** Mark a span as failed without a thrown error. */
  failAs(type: string, span = this.active()): void {
    span?.setAttribute("error.type", type);
    span?.setStatus({ code: this.otel.SpanStatusCode.ERROR });
  }

  /** The trace context of the active span, for work in other processes. */
  traceparent(): string | undefined {
    const span = this.active()?.spanContext();
    return span && this.otel.isSpanContextValid(span)
      ? formatTraceparent(span)
      : undefined;
  }

  private active(): otel.Span | undefined {
    return this.otel.trace.getActiveSpan();
  }

  private remoteOf({ remote, state }: SpanStart): otel.SpanContext | undefined {
    const parsed = parseTraceparent(remote);
    if (parsed && state !== undefined && state.length <= MAX_STATE)
      parsed.traceState = this.otel.createTraceState(state);
    return parsed;
  }
}

/** A span that has begun, and what must end before it does. */
class OpenSpan {
  context: otel.Context | undefined = undefined;
  private isNamed = false;
  private pending = 1;

  constructor(
    private readonly tracer: Tracer,
    readonly span: otel.Span,
    private readonly expects: string | undefined,
  ) {}

  /** Name the entry span after the first action; in-line actions do not rename it. */
  describe(name: string, attributes: SpanAttributes): void {
    if (this.isNamed) return;
    this.isNamed = true;
    this.span.updateName(name).setAttributes(attributes);
  }

  /** Keep the span open until this promise has settled as well. */
  keepUntil(work: PromiseLike<unknown>): void {
    this.pending++;
    const end = () => this.end();
    work.then(end, end);
  }

  endAfter(work: Promise<unknown>): void {
    work.then(
      () => this.end(),
      (error: unknown) => this.endWith(error),
    );
  }

  endWith(error: unknown): void {
    if (this.expects === undefined || errorTypeOf(error) !== this.expects)
      this.tracer.fail(error, this.span);
    this.end();
  }

  end(): void {
    if (--this.pending === 0) this.span.end();
  }
}

/** The type of an error: its code, else the name of its class. */
function errorTypeOf(error: unknown): string {
  if (typeof error !== "object" || error === null) return "_OTHER";
  const { code, constructor } = error as { code?: unknown };
  const type = typeof code === "string" && code !== "" ? code : "";
  return shortText(type || constructor?.name || "_OTHER");
}

/** For attributes of what clients and other nodes write. */
export function shortText(text: string): string {
  return text.slice(0, MAX_TEXT);
}

function messageOf(error: unknown): string {
  const { message } = Object(error) as { message?: unknown };
  return typeof message === "string" ? shortText(message) : "";
}

// --- The header `traceparent`: https://www.w3.org/TR/trace-context/#traceparent-header

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

function formatTraceparent(span: SpanContext): string {
  const isSampled = (span.traceFlags & SAMPLED) !== 0;
  return `00-${span.traceId}-${span.spanId}-0${isSampled ? 1 : 0}`;
}

// --- The spans of middleware, of whichever kind it is.

/** Run a function of middleware with a span around it. */
export function traceMiddleware<T>(
  tracer: Tracer,
  { name, phase }: { name: string; phase: string },
  run: () => T,
): T {
  const attributes = {
    "actionhero.middleware.name": name,
    "actionhero.middleware.phase": phase,
  };
  const start = { name: `middleware ${name}`, isDetail: true, attributes };
  return tracer.run(start, run);
}

// --- Methods of HTTP requests as metrics and traces name them: clients can make up any number.

/** Stands for all methods without a standard. */
export const OTHER_METHOD = "_OTHER";

const METHODS = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "TRACE",
  "CONNECT",
]);

export function knownMethod(method: string): string {
  return METHODS.has(method) ? method : OTHER_METHOD;
}

// --- `api.tracing`, and the tracer while tracing is on: spans go to the SDK of OpenTelemetry that the project registers.

const NAME = "actionhero";
const PEER = "@opentelemetry/api";

/** The provider of OpenTelemetry that delegates to an SDK once one is registered. */
interface Proxy extends TracerProvider {
  getDelegateTracer?(name: string): unknown;
}

let library: OpenTelemetry | undefined;

/**
 * Make `api.tracing`.
 * @throws ActionheroError AH_CONFIG when the package @opentelemetry/api is not installed
 */
export function createTracing(): void {
  library = settings().tracing.enabled
    ? requirePeer<OpenTelemetry>(PEER, "tracing.enabled")
    : undefined;
  api.tracing = tracingApi;
}

/** Begin to make spans; without an SDK they would be dropped. */
export function startTracing(): void {
  if (!library) return;
  const provider: Proxy = library.trace.getTracerProvider();
  if (provider.getDelegateTracer?.(NAME) === undefined && isProxy(provider)) {
    log(
      "tracing.enabled is on, but no SDK of OpenTelemetry is registered: there are no spans",
      "warning",
    );
    return;
  }
  tracing.tracer = new Tracer(
    library,
    library.trace.getTracer(NAME, readActionheroVersion()),
  );
}

export function stopTracing(): void {
  tracing.tracer = undefined;
}

function isProxy(provider: Proxy): boolean {
  return typeof provider.getDelegateTracer === "function";
}

const tracingApi: TracingApi = {
  get isOn() {
    return tracing.tracer !== undefined;
  },
  span: (name, work, attributes) => traced(() => ({ name, attributes }), work),
  traceparent: () => tracing.tracer?.traceparent(),
};
