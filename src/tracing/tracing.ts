/** `api.tracing`: spans of what this process does, for the SDK of OpenTelemetry that the project registers. */
import type { TracerProvider } from "@opentelemetry/api";
import { api } from "../api";
import { requirePeer } from "../config/optionalPeer";
import { settings } from "../config/settings";
import { readActionheroVersion } from "../environment/env";
import { log } from "../log/log";
import { type OpenTelemetry, Tracer, tracing } from "./tracer";
import type { TracingApi } from "./types";

const NAME = "actionhero";
const PEER = "@opentelemetry/api";

/** Of the provider that stands there until an SDK is registered, and behind which each SDK is put. */
interface Proxy extends TracerProvider {
  getDelegateTracer?(name: string): unknown;
}

let otel: OpenTelemetry | undefined;

/**
 * Make `api.tracing`.
 * @throws ActionheroError AH_CONFIG when the package @opentelemetry/api is not installed
 */
export function createTracing(): void {
  otel = settings().tracing.enabled
    ? requirePeer<OpenTelemetry>(PEER, "tracing.enabled")
    : undefined;
  api.tracing = tracingApi;
}

/** Begin to make spans; without an SDK they would be dropped. */
export function startTracing(): void {
  if (!otel) return;
  const provider: Proxy = otel.trace.getTracerProvider();
  if (provider.getDelegateTracer?.(NAME) === undefined && isProxy(provider)) {
    log(
      "tracing.enabled is on, but no SDK of OpenTelemetry is registered: there are no spans",
      "warning",
    );
    return;
  }
  tracing.tracer = new Tracer(
    otel,
    otel.trace.getTracer(NAME, readActionheroVersion()),
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
  span(name, work, attributes) {
    const { tracer } = tracing;
    return tracer ? tracer.run({ name, attributes }, work) : work();
  },
  traceparent: () => tracing.tracer?.traceparent(),
};
