/** The types of spans for projects. They import nothing of OpenTelemetry, which projects may not have installed. */

declare module "../api" {
  interface Api {
    tracing: TracingApi;
  }
}

/** Facts of a span; those that are undefined are left out. */
export type SpanAttributes = Record<
  string,
  string | number | boolean | undefined
>;

/** `api.tracing` */
export interface TracingApi {
  /** Whether there are spans: `tracing.enabled`, and an SDK of OpenTelemetry was registered before the start. */
  readonly isOn: boolean;
  /**
   * Do work with a span around it, a child of the active span. It ends with the work, or with the promise that this
   * returns, and has the error that either ends with. While tracing is off, the work is done without.
   * @param name one of few: names are what spans are grouped by
   */
  span<T>(name: string, work: () => T, attributes?: SpanAttributes): T;
  /**
   * The header `traceparent` of the active span, for calls to other services.
   * @returns undefined outside of any span, and while tracing is off
   */
  traceparent(): string | undefined;
}
