/** The types of custom metrics, and the events that the framework reports. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Connection } from "../connection/connection";
import type { MultiWorker } from "../resque/multiWorker";

declare module "../api" {
  interface Api {
    metrics: MetricsApi;
  }
}

export type Labels = Readonly<Record<string, string | number>>;

export interface MetricOptions {
  /** Letters, digits and `_`; with the unit at its end, such as `_seconds` or `_bytes`, and `_total` for counters. */
  name: string;
  /** A one-line description. */
  help: string;
  /** The names of its labels (default: none). */
  labels?: readonly string[];
}

export interface GaugeOptions extends MetricOptions {
  /** Called before each scrape: sets the gauge. What it throws is logged, and the gauge has no value then. */
  collect?: (gauge: Gauge) => void | Promise<void>;
}

export interface HistogramOptions extends MetricOptions {
  /** Upper bounds, ascending (default: 0.005 to 10, for seconds). */
  buckets?: readonly number[];
}

/** Only goes up. */
export interface Counter {
  inc(labels?: Labels, by?: number): void;
}

/** A value that goes up and down. */
export interface Gauge {
  set(value: number, labels?: Labels): void;
  inc(labels?: Labels, by?: number): void;
  dec(labels?: Labels, by?: number): void;
}

/** How values are distributed: durations, sizes. */
export interface Histogram {
  observe(value: number, labels?: Labels): void;
  /** @returns a function that observes the seconds since */
  startTimer(labels?: Labels): () => void;
}

/** The response to a scraper. */
export interface MetricsPage {
  contentType: string;
  text: string;
}

/** The events that the framework reports. */
export interface Watch {
  /** @param action its name, or undefined if unknown */
  action(
    transport: string,
    action: string | undefined,
    status: string,
    ms: number,
  ): void;
  request(req: IncomingMessage, res: ServerResponse): void;
  workers(workers: MultiWorker): void;
  cache(hits: number, misses: number): void;
}

/** `api.metrics` */
export interface MetricsApi {
  /** Makes a metric, or gives the one of this name. Without `metrics.enabled` it counts nothing. */
  counter(options: MetricOptions): Counter;
  gauge(options: GaugeOptions): Gauge;
  histogram(options: HistogramOptions): Histogram;
  /**
   * All metrics as text.
   * @param accept the header `Accept` of who asks (default: the format of Prometheus)
   * @throws Error without `metrics.enabled`
   */
  page(accept?: string): Promise<MetricsPage>;
  /** Set while `metrics.enabled` is. */
  watch?: Watch;
  /** Set while the web server is to serve them: the path, and who may read them. */
  web?: {
    path: string;
    authorize: (connection: Connection) => unknown;
  };
}
