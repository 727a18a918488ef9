/** Bounds the label values of a metric: each set of them takes memory for as long as the process runs. */
import { log } from "../log/log";
import type { Labels } from "./types";

const OTHER = "other";
/** Letters of a label's value. */
const MAX_LENGTH = 200;

export class Series {
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
