/** The checks of readiness: redis, and those of the project. */
import { errorText } from "../errors";
import { log } from "../log/log";
import { within } from "../utils/promises";

export interface CheckOptions {
  /** How long it may take, in ms (default `health.timeout`). */
  timeout?: number;
  /** Whether the process is not ready while it fails (default true). */
  critical?: boolean;
}

/** Fails by throwing, rejecting, or returning false. */
export type Check = () => unknown;

export interface CheckResult {
  status: "ok" | "failed";
  /** How long it took, in ms. */
  ms: number;
  critical: boolean;
}

interface Entry extends CheckOptions {
  check: Check;
  isFailing: boolean;
}

/** What clients get to read of all checks. */
export interface ChecksReport {
  isReady: boolean;
  results: Record<string, CheckResult>;
}

export class Checks {
  private readonly entries = new Map<string, Entry>();
  private cached: { report: Promise<ChecksReport>; until: number } | undefined =
    undefined;

  /** @param settings read with each run, in ms */
  constructor(
    private readonly settings: () => { cacheFor: number; timeout: number },
  ) {}

  /** A second check of one name replaces the first. */
  add(name: string, check: Check, options: CheckOptions = {}): void {
    this.entries.set(name, { ...options, check, isFailing: false });
    this.cached = undefined;
  }

  remove(name: string): void {
    this.entries.delete(name);
    this.cached = undefined;
  }

  /** However many ask, the checks run once in `cacheFor` ms, and never twice at once. */
  run(): Promise<ChecksReport> {
    if (this.cached && performance.now() < this.cached.until)
      return this.cached.report;
    const cached = { report: this.runAll(), until: Infinity };
    this.cached = cached;
    void cached.report.then(() => {
      cached.until = performance.now() + this.settings().cacheFor;
    });
    return cached.report;
  }

  private async runAll(): Promise<ChecksReport> {
    const names = [...this.entries.keys()];
    const results = await Promise.all(
      names.map((name) => this.runOne(name, this.entries.get(name)!)),
    );
    return {
      isReady: results.every(
        ({ status, critical }) => status === "ok" || !critical,
      ),
      results: Object.fromEntries(names.map((name, i) => [name, results[i]!])),
    };
  }

  private async runOne(name: string, entry: Entry): Promise<CheckResult> {
    const { critical = true, timeout = this.settings().timeout } = entry;
    const begin = performance.now();
    const error = await failureOf(entry.check, timeout);
    const ms = Math.round(performance.now() - begin);
    const isFailing = error !== undefined;
    if (isFailing !== entry.isFailing) logChange(name, error);
    entry.isFailing = isFailing;
    return { status: isFailing ? "failed" : "ok", ms, critical };
  }
}

/** Once when a check begins to fail, and once when it is over: probes come by the second. */
function logChange(name: string, error: unknown): void {
  if (error === undefined)
    return log(`the health check \`${name}\` passes again`, "notice");
  log(`the health check \`${name}\` fails: ${errorText(error)}`, "error");
}

/** @returns what went wrong, or undefined */
async function failureOf(check: Check, timeoutMs: number): Promise<unknown> {
  try {
    const result = await within(
      timeoutMs,
      call(check),
      "AH_CHECK_TIMEOUT",
      () => `it did not end within ${timeoutMs} ms`,
    );
    return result === false ? new Error("it returned false") : undefined;
  } catch (error) {
    return error ?? new Error("it failed without an error");
  }
}

async function call(check: Check): Promise<unknown> {
  return check();
}
