/** What the store holds, and what ran: everything that a simulation must never get wrong. */
import type { JobView } from "../../../src/resque/jobView";
import type { ExchangeCall } from "../../../src/resque/store/store";
import type { StoreState, Witness } from "./backend";
import type { SimProcess, World } from "./world";

/** A run of a job's body. */
export interface Run {
  process: SimProcess;
  view: JobView;
  uid: string;
  kind: string;
  key: string;
  /** The present registration of its process, empty without one; undefined once the workers have ended. */
  registration: () => string | undefined;
}

export class Violation extends Error {}

export const LEASE_MS = 400;

/** How many jobs of the class `narrow` run at a time. */
export const NARROW = 2;

export class Ledger implements Witness {
  /** Jobs that ended: reported as done, or dropped by a plugin. */
  readonly ended = new Set<string>();
  readonly runs = new Set<Run>();
  /** Processes that were told to stop: their jobs go back when the time is over. */
  readonly stopping = new Set<SimProcess>();
  state!: StoreState;
  /** Called with the pid of a process that fetches jobs. */
  onFetch: (pid: number) => void = () => undefined;
  /** Jobs whose enqueueing was confirmed and that have not ended. */
  private readonly open = new Set<string>();
  /** Jobs that were not there when their producer was told that they were not added. */
  private readonly refused = new Set<string>();
  /** When each delayed job is due at the earliest. */
  private readonly due = new Map<string, number>();
  /** The store lost its data: what was enqueued before may be gone, or come again. */
  private readonly forgiven = new Set<string>();
  private readonly known = new Set<string>();
  private flushedAt = -Infinity;
  private places = new Map<string, string>();
  /** Periodic tasks that were enqueued, and where they are. */
  private readonly periodic = new Set<string>();
  private periodicNow = new Set<string>();
  private isDirty = true;
  private stamp = "";
  /** Kept, because the engine takes what is thrown in a body for a failure of the job. */
  private violation?: Violation;
  private processed = 0;
  private failed = 0;
  /** Entries of the failed list, and those of jobs that killed their workers. */
  private entries = 0;
  private crashed = 0;

  constructor(private readonly world: World) {}

  // ------------------------------------------------------------------ runs

  /** A body starts. */
  begin(run: Run): void {
    const { view, uid, process } = run;
    this.world.note(`${process.name} starts ${run.kind} ${uid}`);
    const { worker, process: registration } = view.lease;
    const listed = this.state.worker(worker!.member);
    const isHeld =
      this.state.lastCall(registration) !== undefined &&
      listed?.owner === registration &&
      uidOf(listed.raw) === uid;
    if (!isHeld && !this.wasFlushed(uid))
      this.fail(`${uid} starts without its lease`);
    if (this.world.now < (this.due.get(uid) ?? 0))
      this.fail(`${uid} starts before its time`);
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

  /** A process that does not know yet that its registration is gone with all data still starts what it fetched. */
  private wasFlushed(uid: string): boolean {
    if (this.forgiven.has(uid)) return true;
    return isPeriodic(uid) && this.world.now - this.flushedAt < LEASE_MS;
  }

  end(run: Run): void {
    this.runs.delete(run);
  }

  /** Whether a run still counts: its process lives, and nobody took its job by right. */
  private isLive({ process, view }: Run): boolean {
    if (process.isDead) return false;
    if (this.state.lastCall(view.lease.process) === undefined) return false;
    return !(this.stopping.has(process) && view.signal.aborted);
  }

  // ------------------------------------------------------------- producers

  /** A job is about to be enqueued. @param due when it is due at the earliest */
  enqueues(uid: string, due?: number): void {
    if (!isUnique(uid) && due !== undefined) this.due.set(uid, due);
    this.known.add(uid);
  }

  /** A producer was told that its job was added. */
  acknowledge(uid: string): void {
    if (!this.ended.has(uid) && !this.forgiven.has(uid)) this.open.add(uid);
  }

  /** A producer was told that its call failed: what has not happened by now must not happen any more. */
  refuse(uid: string): void {
    this.refresh();
    if (this.places.has(uid) || this.ended.has(uid)) return;
    if (!isUnique(uid) && !this.forgiven.has(uid)) this.refused.add(uid);
  }

  // ----------------------------------------------------------------- store

  /** All data of the store is gone. */
  forget(): void {
    for (const uid of this.known) this.forgiven.add(uid);
    for (const set of [this.open, this.ended, this.refused]) set.clear();
    this.processed = 0;
    this.failed = 0;
    this.periodic.clear();
    this.flushedAt = this.world.now;
    this.isDirty = true;
  }

  changed(): void {
    this.isDirty = true;
  }

  /** Follows the calls that end jobs. */
  reported(call: ExchangeCall): void {
    const last = this.state.lastCall(call.process);
    if (last === undefined || call.number <= last) return;
    this.onFetch(Number(call.process.split(":")[1]));
    for (const { worker, outcome } of call.slots) {
      const listed = this.state.worker(worker.member);
      if (listed?.owner !== call.process) continue;
      const uid = uidOf(listed.raw);
      const { kind, effects = [] } = outcome;
      if (kind === "success") this.processed++;
      if (kind === "failure" || kind === "retried") this.failed++;
      const isDelayed = effects.some((effect) => effect.do === "delay");
      if (kind === "none" || kind === "failure" || isDelayed) continue;
      if (uid === undefined) this.fail(`a job was reported that no worker has`);
      this.world.note(`${uid} ends as ${kind}`);
      if (isPeriodic(uid) || this.forgiven.has(uid)) continue;
      if (this.ended.has(uid)) this.fail(`${uid} was counted twice`);
      this.ended.add(uid);
      this.open.delete(uid);
    }
  }

  /** What must hold after every step. */
  check(): void {
    if (this.violation) throw this.violation;
    this.checkFenced();
    if (!this.isDirty || !this.refresh()) return;
    for (const uid of this.places.keys()) {
      if (this.refused.has(uid))
        this.fail(
          `${uid} was added after its producer was told that it was not`,
        );
      // a job that is `unique` may be added again after its end
      if (this.ended.has(uid) && !(isUnique(uid) && this.ended.delete(uid)))
        this.fail(`${uid} is back after its end`);
    }
    for (const uid of this.open)
      if (!this.places.has(uid) && !this.ended.has(uid))
        this.fail(`${uid} is lost`);
    // a process that stops while redis is away, and lost data, leave a task to the search for lost ones
    const isSearched = this.stopping.size > 0 || this.flushedAt > -Infinity;
    for (const uid of isSearched ? [] : this.periodic)
      if (!this.periodicNow.has(uid))
        this.fail(`${uid} neither waits nor runs`);
    const wrong = this.state.inconsistency();
    if (wrong !== undefined) this.fail(wrong);
    this.checkCounters();
  }

  /** A process that knows that its lease is over has told its jobs. */
  private checkFenced(): void {
    for (const { process, view, uid, registration } of this.runs) {
      const id = registration();
      const isOwn = id === undefined || id === view.lease.process;
      if (!isOwn && !process.isDead && !view.signal.aborted)
        this.fail(`${uid} is not told that it was given to another worker`);
    }
  }

  /** Jobs that neither ended nor failed. */
  unfinished(): string[] {
    this.refresh();
    return [...this.open].filter((uid) => this.places.get(uid) !== "failed");
  }

  private checkCounters(): void {
    const { processed, failed, failedEntries } = this.state;
    if (processed !== this.processed)
      this.fail(`${processed} counted, ${this.processed} reported`);
    if (failedEntries.length !== this.entries) {
      this.entries = failedEntries.length;
      this.crashed = failedEntries.filter((entry) =>
        entry.includes("WorkerCrashed"),
      ).length;
    }
    if (failed !== this.failed + this.crashed)
      this.fail(`${failed} failures counted, ${this.failed} reported`);
  }

  /** @returns whether a job may have moved */
  private refresh(): boolean {
    if (!this.isDirty) return false;
    this.isDirty = false;
    const { stamp } = this.state;
    if (stamp === this.stamp) return false;
    this.stamp = stamp;
    const places = new Map<string, string>();
    this.periodicNow = new Set();
    this.state.forEachJob((raw, place) => {
      const uid = uidOf(raw);
      if (uid !== undefined && isPeriodic(uid)) {
        this.periodic.add(uid);
        this.periodicNow.add(uid);
      }
      if (uid === undefined || isPeriodic(uid) || this.forgiven.has(uid))
        return;
      const other = places.get(uid);
      if (other !== undefined)
        this.fail(`${uid} is in two places: ${other}, ${place}`);
      places.set(uid, place);
    });
    this.places = places;
    return true;
  }

  fail(text: string): never {
    this.world.note(`VIOLATION: ${text}`);
    this.violation ??= new Violation(text);
    throw this.violation;
  }
}

/** Jobs carry their number as `#<number>#`; those of periodic tasks are known by their class. */
export function uidOf(raw: string | undefined): string | undefined {
  if (raw === undefined) return undefined;
  const at = raw.indexOf("#");
  if (at !== -1) return raw.slice(at, raw.indexOf("#", at + 1) + 1);
  const [, name, queue] = PERIODIC.exec(raw) ?? [];
  return name && periodicUid(name, queue);
}

const PERIODIC = /"class":"(every|calendar|everywhere)","queue":"([^"]*)"/;

/** Of the runs of a periodic task; a task of all nodes has those of each. */
export function periodicUid(name: string, queue: string): string {
  return name === "everywhere" ? `@${name} ${queue}` : `@${name}`;
}

function isPeriodic(uid: string): boolean {
  return uid.startsWith("@");
}

function isUnique(uid: string): boolean {
  return uid.startsWith("#u");
}
