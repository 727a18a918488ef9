/** Bounds the label values of a metric: each set of them takes memory for as long as the process runs. */
import { log } from "../log/log";
import type { Labels } from "./types";

const OTHER = "other";
/** Letters of a label's value. */
const MAX_LENGTH = 200;

export class Series {
  private readonly known = new Set<string>();
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
    const values = this.names.map((name) => short(labels[name]));
    const key = values.join("\0");
    if (!this.known.has(key)) {
      if (this.known.size >= this.max) return this.full();
      this.known.add(key);
    }
    const own: Record<string, string | number> = { ...labels };
    this.names.forEach((name, i) => (own[name] = values[i]!));
    return own;
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
