/** The SDK of OpenTelemetry, as a project registers it, with its spans in memory. */
import { context, propagation, trace } from "@opentelemetry/api";
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  SimpleSpanProcessor,
  type ReadableSpan,
} from "@opentelemetry/sdk-trace-node";
import { until } from "./until";

export class Spans {
  private readonly exporter = new InMemorySpanExporter();
  private readonly provider = new NodeTracerProvider({
    spanProcessors: [new SimpleSpanProcessor(this.exporter)],
  });

  register(): void {
    this.provider.register();
  }

  /** Those that have ended. */
  get all(): ReadableSpan[] {
    return this.exporter.getFinishedSpans();
  }

  get names(): string[] {
    return this.all.map(({ name }) => name);
  }

  clear(): void {
    this.exporter.reset();
  }

  /** Wait for the end of a span. */
  ended(name: string, likes = (_span: ReadableSpan) => true) {
    return until<ReadableSpan | undefined>(
      () => this.all.find((span) => span.name === name && likes(span)),
      30_000,
      `a span ${name} among ${this.names.join(", ")}`,
    );
  }

  async stop(): Promise<void> {
    await this.provider.shutdown();
    trace.disable();
    context.disable();
    propagation.disable();
  }
}

export const traceOf = (span: ReadableSpan) => span.spanContext().traceId;
export const idOf = (span: ReadableSpan) => span.spanContext().spanId;
export const parentOf = (span: ReadableSpan) => span.parentSpanContext?.spanId;
