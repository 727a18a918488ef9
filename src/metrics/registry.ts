/** All metrics of this process, kept by prom-client. */
import type * as prom from "prom-client";
import { errorText, toError } from "../errors";
import { log } from "../log/log";
import { withTimeout } from "../utils/promises";
import type {
  Counter,
  Gauge,
  GaugeOptions,
  Histogram,
  HistogramOptions,
  Labels,
  MetricOptions,
  MetricsPage,
} from "./types";

export type PromClient = typeof prom;

/** A counter whose value is copied from another counter at each scrape. */
interface CounterOptions extends MetricOptions {
  /** Called before each scrape. */
  collect?: (counter: Counter) => void | Promise<void>;
}

/** How long the collector of one metric may take, in ms. */
const COLLECT_MS = 2_000;

const OPEN_METRICS =
  /\bapplication\/openmetrics-text\b(?![^,]*;\s*q=0(?:\.0*)?\s*(?:[,;]|$))/i;

interface Made {
  kind: string;
  metric: unknown;
}

export class Registry {
  private readonly registry: prom.Registry<prom.RegistryContentType>;
  private readonly made = new Map<string, Made>();
  /** Metrics whose collector failed the last time. */
  private readonly failing = new Set<string>();
  /** Running and waiting scrapes, by their format. */
  private readonly pages = new Map<string, Promise<MetricsPage>>();
  private lastPage: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly prom: PromClient,
    private readonly maxSeries: number,
  ) {
    this.registry = new prom.Registry<prom.RegistryContentType>();
  }

  counter(options: CounterOptions): Counter {
    return this.once("counter", options, () => {
      const series = this.seriesOf(options);
      const { collect } = options;
      const metric: prom.Counter = new this.prom.Counter({
        ...this.basics(options),
        ...(collect && {
          collect: () => this.collect(options, () => collect(counter)),
        }),
      });
      const counter: Counter = {
        inc: (labels, by = 1) => metric.inc(series.bounded(labels), by),
      };
      return counter;
    });
  }

  gauge(options: GaugeOptions): Gauge {
    return this.once("gauge", options, () => {
      const series = this.seriesOf(options);
      const { collect } = options;
      const reset = () => {
        series.clear();
        metric.reset();
        if (!options.labels?.length) metric.remove(); // 0 would be a value
      };
      const metric: prom.Gauge = new this.prom.Gauge({
        ...this.basics(options),
        ...(collect && {
          collect: () => {
            reset();
            return this.collect(options, () => collect(gauge), reset);
          },
        }),
      });
      const gauge: Gauge = {
        set: (value, labels) => metric.set(series.bounded(labels), value),
        inc: (labels, by = 1) => metric.inc(series.bounded(labels), by),
        dec: (labels, by = 1) => metric.dec(series.bounded(labels), by),
      };
      return gauge;
    });
  }

  histogram(options: HistogramOptions): Histogram {
    return this.once("histogram", options, () => {
      const series = this.seriesOf(options);
      const { buckets } = options;
      const metric: prom.Histogram = new this.prom.Histogram({
        ...this.basics(options),
        ...(buckets && { buckets: [...buckets] }),
      });
      const histogram: Histogram = {
        observe: (value, labels) =>
          metric.observe(series.bounded(labels), value),
        startTimer: (labels) => {
          const begin = performance.now();
          return () =>
            histogram.observe((performance.now() - begin) / 1000, labels);
        },
      };
      return histogram;
    });
  }

  /**
   * A histogram for each request: prom-client checks and joins the labels of each observation, which takes microseconds.
   * @returns finds the cell of a few known values of the labels, in their order
   */
  cells(options: CellsOptions): (...values: LabelValue[]) => Cell {
    const cells = this.once("histogram of the framework", options, () => {
      const made = new Cells(options, this.seriesOf(options));
      // the registry needs only what it renders, not the class of prom-client
      this.registry.registerMetric(made as never);
      return made;
    });
    return (...values) => cells.at(values);
  }

  /** Scrapes of one format at the same time are one. */
  page(accept = ""): Promise<MetricsPage> {
    const { OPENMETRICS_CONTENT_TYPE, PROMETHEUS_CONTENT_TYPE } =
      this.prom.Registry;
    const type = OPEN_METRICS.test(accept)
      ? OPENMETRICS_CONTENT_TYPE
      : PROMETHEUS_CONTENT_TYPE;
    let page = this.pages.get(type);
    if (page) return page;
    page = this.lastPage
      .then(() => this.render(type))
      .finally(() => this.pages.delete(type));
    this.pages.set(type, page);
    this.lastPage = page.catch(() => undefined);
    return page;
  }

  /** One at a time: the format is a state of the registry, and prom-client renames counters for OpenMetrics. */
  private async render(contentType: prom.RegistryContentType) {
    const metrics: { name: string }[] = this.registry.getMetricsAsArray();
    const names = metrics.map(({ name }) => name);
    this.registry.setContentType(contentType);
    try {
      return { contentType, text: await this.registry.metrics() };
    } finally {
      metrics.forEach((metric, i) => (metric.name = names[i]!));
    }
  }

  /** @throws Error when there is a metric of another kind with this name */
  private once<T>(kind: string, { name }: MetricOptions, make: () => T): T {
    const made = this.made.get(name);
    if (made && made.kind !== kind)
      throw new Error(`the metric ${name} is a ${made.kind}, not a ${kind}`);
    if (made) return made.metric as T;
    const metric = make();
    this.made.set(name, { kind, metric });
    return metric;
  }

  private basics({ name, help, labels = [] }: MetricOptions) {
    return { name, help, labelNames: [...labels], registers: [this.registry] };
  }

  private seriesOf({ name, labels = [] }: MetricOptions): Series {
    return new Series(name, labels, this.maxSeries);
  }

  /** A collector that fails omits its metric; the scrape succeeds. */
  private async collect(
    { name }: MetricOptions,
    collect: () => void | Promise<void>,
    reset?: () => void,
  ): Promise<void> {
    try {
      const done = collect();
      if (done)
        await withTimeout(
          COLLECT_MS,
          done,
          "AH_CHECK_TIMEOUT",
          () => `it did not end within ${COLLECT_MS} ms`,
        );
      this.failing.delete(name);
    } catch (error) {
      reset?.();
      if (this.failing.has(name)) return;
      this.failing.add(name);
      log(`cannot collect the metric ${name}: ${errorText(error)}`, "error", {
        stack: toError(error).stack,
      });
    }
  }
}

// --- A histogram without prom-client.

type LabelValue = string | number;

/** Cells by the values of their labels, a level for each label. */
type CellTree = Map<LabelValue, CellTree | Cell>;

interface CellsOptions extends MetricOptions {
  labels: readonly string[];
}

/** The upper bounds of prom-client, in seconds. */
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** The observations with one set of labels. */
class Cell {
  /** The counts of each bucket without the smaller ones; the last is above all bounds. */
  private readonly counts = new Array<number>(BOUNDS.length + 1).fill(0);
  private sum = 0;

  constructor(private readonly labels: Labels) {}

  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < BOUNDS.length && seconds > BOUNDS[bucket]!) bucket++;
    this.counts[bucket]!++;
    this.sum += seconds;
  }

  /** The metrics to render. */
  values(metric: string): object[] {
    const { labels, sum } = this;
    const row = (suffix: string, value: number, le?: number | "+Inf") => ({
      metricName: `${metric}_${suffix}`,
      labels: le === undefined ? labels : { le, ...labels },
      value,
    });
    let count = 0;
    const buckets = this.counts.map((own, i) =>
      row("bucket", (count += own), BOUNDS[i] ?? "+Inf"),
    );
    return [...buckets, row("sum", sum), row("count", count)];
  }
}

/** A metric as the registry of prom-client renders it. */
class Cells {
  readonly name: string;
  readonly help: string;
  readonly type = "histogram";
  readonly aggregator = "sum";
  private readonly labels: readonly string[];
  private readonly cells = new Map<Labels, Cell>();
  private readonly tree: CellTree = new Map();

  constructor(
    { name, help, labels }: CellsOptions,
    private readonly series: Series,
  ) {
    this.name = name;
    this.help = help;
    this.labels = labels;
  }

  at(values: readonly LabelValue[]): Cell {
    const last = values.length - 1;
    let level = this.tree;
    for (let i = 0; i < last; i++) {
      let next = level.get(values[i]!) as CellTree | undefined;
      if (!next) level.set(values[i]!, (next = new Map()));
      level = next;
    }
    let cell = level.get(values[last]!) as Cell | undefined;
    if (!cell) level.set(values[last]!, (cell = this.make(values)));
    return cell;
  }

  /** Beyond the greatest number of sets, one cell is that of all others. */
  private make(values: readonly LabelValue[]): Cell {
    const entries = this.labels.map((name, i) => [name, values[i]!] as const);
    const labels = this.series.bounded(Object.fromEntries(entries));
    let cell = this.cells.get(labels);
    if (!cell) this.cells.set(labels, (cell = new Cell(labels)));
    return cell;
  }

  get(): Promise<object> {
    const { name, help, type, aggregator } = this;
    const values = [...this.cells.values()].flatMap((cell) =>
      cell.values(name),
    );
    return Promise.resolve({ name, help, type, aggregator, values });
  }
}

// --- Bounds the label values of a metric: each set of them takes memory for as long as the process runs.

const OTHER = "other";
/** Letters of a label's value. */
const MAX_LENGTH = 200;

class Series {
  /** The labels that are given to the metric, by their values. */
  private readonly known = new Map<string, Labels>();
  private readonly other: Labels;
  private isFull = false;

  constructor(
    private readonly metric: string,
    private readonly names: readonly string[],
    private readonly max: number,
  ) {
    this.other = Object.fromEntries(names.map((name) => [name, OTHER]));
  }

  /** The labels, or "other" for all of them when there are too many sets already. */
  bounded(labels: Labels | undefined): Labels {
    if (this.names.length === 0 || labels === undefined) return labels ?? {};
    let key = "";
    for (const name of this.names) key += `${short(labels[name])}\0`;
    const known = this.known.get(key);
    if (known && this.fits(known, labels)) return known;
    if (!known && this.known.size >= this.max) return this.full();
    const own: Record<string, string | number> = { ...labels };
    for (const name of this.names) own[name] = short(labels[name]);
    if (Object.keys(own).length === this.names.length) this.known.set(key, own);
    return own;
  }

  /** Whether known labels are these: values may have what joins them, and the metric refuses further names. */
  private fits(known: Labels, labels: Labels): boolean {
    for (const name in labels) if (!(name in known)) return false;
    return this.names.every((name) => known[name] === short(labels[name]));
  }

  /** The metric has no values any more. */
  clear(): void {
    this.known.clear();
  }

  private full(): Labels {
    if (!this.isFull)
      log(
        `the metric ${this.metric} has ${this.max} sets of labels: others count as "${OTHER}"`,
        "warning",
      );
    this.isFull = true;
    return this.other;
  }
}

function short(value: string | number | undefined): string {
  return String(value ?? "").slice(0, MAX_LENGTH);
}
