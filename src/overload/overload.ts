/** `general.overload`: refuses new work while the process is overloaded. */
import { setFlagsFromString, getHeapStatistics } from "node:v8";
import { runInNewContext } from "node:vm";
import { settings } from "../config/settings";
import type { OverloadLimits } from "../config/types";
import { ActionheroError, StatusError, withoutTrace } from "../errors";
import { log } from "../log/log";
import { RefusalLine } from "../log/refusals";

declare module "../api" {
  interface Api {
    /** Undefined without `general.overload`. */
    overload: Overload | undefined;
  }
}

/** The default text of `config.errors.overloaded`. */
const OVERLOADED_TEXT = "the server is overloaded, try again later";

/** For `Retry-After`, in seconds. */
export const RETRY_AFTER_SECONDS = "1";

/** How often the event loop is measured, in ms: a delay is noticed before the requests that have waited for it. */
const SAMPLE_MS = 20;
/** How long new work is refused after a delay, in ms: what runs gets time to end. */
const HOLD_MS = 250;
/** How often the heap may be collected to measure it, in ms. */
const COLLECT_MS = 1_000;

/**
 * The young generation, by default three semi-spaces of 16 MiB, is part of node's limit of the heap, but cannot be used
 * by what lives longer: the process runs out of memory when the old generation is full.
 */
const YOUNG_BYTES = 48 * 1024 * 1024;

type Cause = keyof OverloadLimits;

export class Overload {
  private inFlight = 0;
  /** Kept up to date by the samples, so that a request only has to read it. */
  private strain: Cause | undefined = undefined;
  private delayedUntil = 0;
  private isHeapFull = false;
  private lastSample = 0;
  private lastCollection = -Infinity;
  private readonly refusals = new RefusalLine();
  private timer: NodeJS.Timeout | undefined;
  private readonly maxInFlight: number;
  private readonly maxDelayMs: number;
  private readonly maxHeapBytes: number;
  /** Beyond it, there is no time to collect first. */
  private readonly criticalHeapBytes: number;

  constructor(limits: OverloadLimits) {
    this.maxInFlight = limits.maxInFlight ?? Infinity;
    this.maxDelayMs = limits.maxEventLoopDelay ?? Infinity;
    this.maxHeapBytes = heapBytes(limits.maxHeapUsed ?? Infinity);
    this.criticalHeapBytes = (this.maxHeapBytes + oldBytes()) / 2;
  }

  /** Begin to measure, once the boot is complete: what that does to the event loop is no load by clients. */
  watch(): void {
    if (this.maxDelayMs === Infinity && this.maxHeapBytes === Infinity) return;
    this.lastSample = performance.now();
    this.timer = setInterval(() => this.sample(), SAMPLE_MS).unref();
  }

  /** Whether new work has to be refused. */
  get isOverloaded(): boolean {
    return this.inFlight >= this.maxInFlight || this.strain !== undefined;
  }

  /** An action begins; `leave` has to follow when it has ended. */
  enter(): void {
    this.inFlight++;
  }

  leave(): void {
    this.inFlight--;
  }

  /** Count a refusal, and log it if the last line was long enough ago. */
  noteRefusal(): void {
    const count = this.refusals.count();
    if (count === 0) return;
    const cause = this.strain ?? "maxInFlight";
    log(`refusing new work: general.overload.${cause} is reached`, "warning", {
      count,
      running: this.inFlight,
    });
  }

  stop(): void {
    clearInterval(this.timer);
    this.strain = undefined;
  }

  private sample(): void {
    const now = performance.now();
    if (now - this.lastSample - SAMPLE_MS > this.maxDelayMs)
      this.delayedUntil = now + HOLD_MS;
    this.lastSample = now;
    this.sampleHeap(now);
    if (now < this.delayedUntil) this.strain = "maxEventLoopDelay";
    else this.strain = this.isHeapFull ? "maxHeapUsed" : undefined;
  }

  /**
   * Garbage counts as used until it is collected, and a process that refuses everything allocates too little to trigger
   * a collection. Collect before deciding, or it would refuse forever.
   */
  private sampleHeap(now: number): void {
    if (this.maxHeapBytes === Infinity) return;
    const used = usedHeap();
    if (used <= this.maxHeapBytes) {
      this.isHeapFull = false;
      return;
    }
    if (now - this.lastCollection < COLLECT_MS) {
      this.isHeapFull ||= used > this.criticalHeapBytes;
      return;
    }
    collectGarbage();
    this.isHeapFull = usedHeap() > this.maxHeapBytes;
    // refusing work would not shorten the delay of the collection itself, so it is not counted
    this.lastCollection = this.lastSample = performance.now();
  }
}

/**
 * @returns undefined when the configuration sets no limit
 * @throws ActionheroError AH_CONFIG
 */
export function createOverload(): Overload | undefined {
  const limits = settings().general.overload;
  if (!limits) return undefined;
  for (const name of [
    "maxInFlight",
    "maxEventLoopDelay",
    "maxHeapUsed",
  ] as const) {
    const limit: unknown = limits[name];
    if (limit === undefined || limit === null) continue;
    if (typeof limit !== "number" || !(limit > 0))
      throw new ActionheroError(
        "AH_CONFIG",
        `general.overload.${name} must be a number above 0`,
      );
  }
  return new Overload(limits);
}

/** Count a refusal. @returns the error for requests other than actions */
export function overloadedError(overload: Overload): StatusError {
  overload.noteRefusal();
  return withoutTrace(
    () =>
      new StatusError("AH_OVERLOADED", OVERLOADED_TEXT, 503, {
        "Retry-After": RETRY_AFTER_SECONDS,
      }),
  );
}

function heapBytes(limit: number): number {
  return limit <= 1 ? limit * oldBytes() : limit;
}

/** The size of the old generation. */
function oldBytes(): number {
  const { heap_size_limit: whole } = getHeapStatistics();
  return Math.max(whole - YOUNG_BYTES, whole / 2);
}

function usedHeap(): number {
  return getHeapStatistics().used_heap_size;
}

let collect: (() => void) | undefined;

/** Node offers this only with a flag, which counts for contexts that are made after it is set. */
function collectGarbage(): void {
  if (!collect) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
    setFlagsFromString("--no-expose-gc");
  }
  collect();
}
