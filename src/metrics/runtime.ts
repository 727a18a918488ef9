/** Memory, processor, event loop and garbage collection, by the names that dashboards for Node.js know. */
import {
  constants,
  monitorEventLoopDelay,
  PerformanceObserver,
  type IntervalHistogram,
  type PerformanceEntry,
} from "node:perf_hooks";
import type { Registry } from "./registry";
import type { Histogram } from "./types";

const GC_KINDS: Record<number, string> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: "major",
  [constants.NODE_PERFORMANCE_GC_MINOR]: "minor",
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: "incremental",
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: "weakcb",
};

const GC_BUCKETS = [0.001, 0.01, 0.1, 1, 2, 5];
const DELAY_RESOLUTION_MS = 10;
const NS = 1e9;

/** Start measuring this process. @returns a function that stops it */
export function measureProcess(registry: Registry): () => void {
  collectUsage(registry);
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  collectDelay(registry, delay);
  const observer = observeGc(
    registry.histogram({
      name: "nodejs_gc_duration_seconds",
      help: "Garbage collection by kind: major, minor, incremental, weakcb",
      labels: ["kind"],
      buckets: GC_BUCKETS,
    }),
  );
  return () => {
    delay.disable();
    observer.disconnect();
  };
}

function collectUsage(registry: Registry): void {
  let last = { user: 0, system: 0 };
  registry.counter({
    name: "process_cpu_seconds_total",
    help: "Processor time of this process",
    collect: (counter) => {
      const usage = process.cpuUsage();
      const used = usage.user - last.user + usage.system - last.system;
      last = usage;
      counter.inc(undefined, used / 1e6);
    },
  });
  const gauge = (name: string, help: string, valueOf: () => number) =>
    registry.gauge({ name, help, collect: (one) => one.set(valueOf()) });
  const start = Math.round(Date.now() / 1000 - process.uptime());
  gauge(
    "process_start_time_seconds",
    "When this process began, in seconds since the epoch",
    () => start,
  );
  gauge("process_resident_memory_bytes", "Memory of this process", () =>
    process.memoryUsage.rss(),
  );
  gauge(
    "nodejs_heap_size_used_bytes",
    "Memory of JavaScript objects",
    () => process.memoryUsage().heapUsed,
  );
  gauge(
    "nodejs_heap_size_total_bytes",
    "Memory that is there for JavaScript objects",
    () => process.memoryUsage().heapTotal,
  );
  gauge(
    "nodejs_external_memory_bytes",
    "Memory of buffers and other objects outside of the heap",
    () => process.memoryUsage().external,
  );
  registry.gauge({
    name: "nodejs_version_info",
    help: "The version of Node.js",
    labels: ["version"],
    collect: (one) => one.set(1, { version: process.version }),
  });
}

/** Delays since the last scrape. */
function collectDelay(registry: Registry, delay: IntervalHistogram): void {
  const values: [name: string, valueOf: () => number][] = [
    ["mean", () => delay.mean],
    ["min", () => delay.min],
    ["p50", () => delay.percentile(50)],
    ["p90", () => delay.percentile(90)],
    ["p99", () => delay.percentile(99)],
    ["max", () => delay.max],
  ];
  values.forEach(([name, valueOf], i) => {
    registry.gauge({
      name: `nodejs_eventloop_lag_${name}_seconds`,
      help: `Delay of timers since the last scrape: ${name}`,
      collect: (gauge) => {
        const seconds = (valueOf() - DELAY_RESOLUTION_MS * 1e6) / NS;
        // nothing was measured yet
        if (delay.count > 0) gauge.set(Math.max(seconds, 0));
        if (i === values.length - 1) delay.reset();
      },
    });
  });
}

function observeGc(durations: Histogram): PerformanceObserver {
  const observer = new PerformanceObserver((list) => {
    // the types of node 20 do not know the detail
    const entries = list.getEntries() as (PerformanceEntry & {
      detail: { kind: number };
    })[];
    for (const { duration, detail } of entries) {
      const { kind } = detail;
      durations.observe(duration / 1000, { kind: GC_KINDS[kind] ?? "other" });
    }
  });
  observer.observe({ entryTypes: ["gc"] });
  return observer;
}
