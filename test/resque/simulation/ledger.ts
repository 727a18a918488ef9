/** What the store holds, and what ran: everything that a simulation must never get wrong. */
import type { JobView } from "../../../src/resque/jobView";
import type { MemoryStore } from "../../../src/resque/store/memoryStore";
import type { ExchangeCall } from "../../../src/resque/store/store";
import type { SimProcess, World } from "./world";

/** A run of a job's body. */
export interface Run {
  process: SimProcess;
  view: JobView;
  uid: string;
  kind: string;
  key: string;
}

export class Violation extends Error {}

/** How many jobs of the class `narrow` run at a time. */
export const NARROW = 2;

export class Ledger {
  /** Jobs whose enqueueing was confirmed, by their number. */
  readonly acknowledged = new Map<string, string>();
  /** Jobs that ended: reported as done, or dropped by a plugin. */
  readonly ended = new Set<string>();
  readonly runs = new Set<Run>();
  /** Processes that were told to stop: their jobs go back when the time is over. */
  readonly stopping = new Set<SimProcess>();
  isDirty = false;
  /** Kept, because the engine takes what is thrown in a body for a failure of the job. */
  private violation?: Violation;
  private processed = 0;
  private failed = 0;

  constructor(
    private readonly world: World,
    private readonly store: MemoryStore,
  ) {}

  // ------------------------------------------------------------------ runs

  /** A body starts. */
  begin(run: Run): void {
    const { view, uid, process } = run;
    this.world.note(`${process.name} starts ${run.kind} ${uid}`);
    const { processes, workers } = this.store["data"];
    const listed = workers.get(view.lease.worker!.member);
    const isHeld =
      processes.has(view.lease.process) &&
      listed?.owner === view.lease.process &&
      uidOf(listed.job?.raw) === uid;
    if (!isHeld) this.fail(`${uid} starts without its lease`);
    const others = [...this.runs].filter((other) => this.isLive(other));
    if (others.some((other) => other.uid === uid))
      this.fail(`${uid} runs twice at once`);
    const alike = others.filter(({ kind }) => kind === run.kind);
    if (run.kind === "locked" && alike.some(({ key }) => key === run.key))
      this.fail(`the lock of ${uid} does not hold`);
    if (run.kind === "narrow" && alike.length >= NARROW)
      this.fail(`${uid} has no concurrency slot`);
    this.runs.add(run);
  }

  end(run: Run): void {
    this.runs.delete(run);
  }

  /** Whether a run still counts: its process lives, and nobody took its job by right. */
  private isLive({ process, view }: Run): boolean {
    if (process.isDead) return false;
    if (!this.store["data"].processes.has(view.lease.process)) return false;
    return !(this.stopping.has(process) && view.signal.aborted);
  }

  // ----------------------------------------------------------------- store

  /** Follows the operations that end jobs. */
  operation(_process: SimProcess, name: string, args: unknown[]): () => void {
    this.isDirty = true;
    if (name === "enqueue" || name === "delay") return this.adding(args);
    if (name !== "exchange") return nothing;
    const call = args[0] as ExchangeCall;
    const { processes, workers } = this.store["data"];
    const isNew = call.number > (processes.get(call.process)?.call ?? Infinity);
    if (!isNew) return nothing;
    for (const { worker, outcome } of call.slots) {
      const listed = workers.get(worker.member);
      if (listed?.owner !== call.process) continue;
      const uid = uidOf(listed.job?.raw);
      const { kind, effects = [] } = outcome;
      if (kind === "success") this.processed++;
      if (kind === "failure" || kind === "retried") this.failed++;
      const isDelayed = effects.some((effect) => effect.do === "delay");
      if (kind === "none" || kind === "failure" || isDelayed) continue;
      if (uid === undefined) this.fail(`a job was reported that nobody has`);
      if (this.ended.has(uid)) this.fail(`${uid} was counted twice`);
      this.world.note(`${uid} ends as ${kind}`);
      this.ended.add(uid);
    }
    return nothing;
  }

  /** A `unique` job begins again when it was added after its end. */
  private adding(args: unknown[]): () => void {
    const uid = uidOf(JSON.stringify(args));
    if (!uid?.startsWith("#u") || this.places().has(uid)) return nothing;
    return () => {
      if (this.places().has(uid)) this.ended.delete(uid);
    };
  }

  /** What must hold after every step. */
  check(): void {
    if (this.violation) throw this.violation;
    if (!this.isDirty) return;
    this.isDirty = false;
    const places = this.places();
    for (const [uid, found] of places) {
      if (found.length > 1)
        this.fail(`${uid} is in two places: ${found.join(", ")}`);
      if (this.ended.has(uid)) this.fail(`${uid} is back after its end`);
    }
    for (const uid of this.acknowledged.keys())
      if (!places.has(uid) && !this.ended.has(uid)) this.fail(`${uid} is lost`);
    this.checkCounters();
  }

  /** Jobs that neither ended nor failed. */
  unfinished(): string[] {
    const places = this.places();
    return [...this.acknowledged.keys()].filter((uid) => {
      const place = places.get(uid)?.[0];
      return !this.ended.has(uid) && place !== "failed";
    });
  }

  private checkCounters(): void {
    const { processedCount, failedCount, failed } = this.store["data"];
    if (processedCount !== this.processed)
      this.fail(`${processedCount} counted, ${this.processed} reported`);
    const crashed = failed.filter((entry) => entry.includes("WorkerCrashed"));
    if (failedCount !== this.failed + crashed.length)
      this.fail(`${failedCount} failures counted, ${this.failed} reported`);
  }

  /** Where each job is. */
  private places(): Map<string, string[]> {
    const places = new Map<string, string[]>();
    const put = (raw: string, place: string) => {
      const uid = uidOf(raw);
      if (uid === undefined) return;
      const found = places.get(uid);
      if (found) found.push(place);
      else places.set(uid, [place]);
    };
    const { lists, delayed, workers, slots, failed } = this.store["data"];
    for (const [queue, list] of lists)
      for (const raw of list.toArray()) put(raw, queue);
    for (const second of delayed.seconds())
      for (const raw of delayed.jobsAt(second)) put(raw, "delayed");
    for (const { waiting } of slots.values())
      for (const { raw } of waiting) put(raw, "waiting");
    for (const [member, { job }] of workers) if (job) put(job.raw, member);
    for (const entry of failed) put(entry, "failed");
    return places;
  }

  fail(text: string): never {
    this.world.note(`VIOLATION: ${text}`);
    this.violation = new Violation(text);
    throw this.violation;
  }
}

function nothing(): void {
  // all was seen before
}

/** Jobs carry their number as `#<number>#`. */
function uidOf(raw: string | undefined): string | undefined {
  if (raw === undefined) return undefined;
  const at = raw.indexOf("#");
  return at === -1 ? undefined : raw.slice(at, raw.indexOf("#", at + 1) + 1);
}
