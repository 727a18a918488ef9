/**
 * A worker as its process sees it: its state, its record, and the lease of its job. Only the table below defines the
 * transitions between states; `workerProcess.ts` acts on the result.
 */
import type { Timer } from "./machine";
import {
  NO_OUTCOME,
  workerIdentity,
  type HeldLock,
  type Outcome,
  type QueuedJob,
  type WorkerIdentity,
} from "./store/store";

export type WorkerState =
  /** Not registered: it takes no jobs. */
  | "stopped"
  /** Its registration is in progress. */
  | "joining"
  /** It has been told to end, and its registration is still in progress. */
  | "cancelling"
  /** It takes part in a fetch that reports its last job and requests the next one. */
  | "fetching"
  /** The queues were empty: it waits for a wake-up or for the next poll. */
  | "idle"
  /** It runs a job. */
  | "running"
  /** It runs a job that was requeued for another process, because its lease expired: the result is dropped. */
  | "fenced"
  /** It runs its last job. */
  | "draining"
  /**
   * It has been told to end while its fetch may already have taken a job, which is requeued without being started.
   */
  | "withdrawing"
  /** Its last report is in progress; it requests no other job. */
  | "reporting"
  /** Its registration is being removed; a job that it still holds is requeued. */
  | "leaving"
  /** It ended while redis did not respond: its job is requeued when the lease expires. */
  | "abandoned";

export type WorkerEvent =
  /** `start()`. */
  | "start"
  /** The registration was confirmed. */
  | "joined"
  /** The registration failed. */
  | "refused"
  /** The fetch brought a job. */
  | "job"
  /** The fetch returned no job; a report without a request also ends like this. */
  | "empty"
  /** Jobs may be available. */
  | "wake"
  /** The job ended, with any outcome. */
  | "finished"
  /** The worker should end after its job. */
  | "end"
  /** The worker must end now. */
  | "cut"
  /** The lease of its process expired. */
  | "fence"
  /** The registration was ended. */
  | "left";

type Table = Record<WorkerState, Partial<Record<WorkerEvent, WorkerState>>>;

/** `docs/architecture.md` shows the same table; a test compares them. */
export const TRANSITIONS: Table = {
  stopped: { start: "joining" },
  joining: { joined: "fetching", refused: "stopped", end: "cancelling" },
  cancelling: { joined: "leaving", refused: "stopped", cut: "abandoned" },
  fetching: { job: "running", empty: "idle", end: "withdrawing" },
  idle: { wake: "fetching", end: "leaving" },
  running: { finished: "fetching", end: "draining", fence: "fenced" },
  fenced: { finished: "fetching", end: "leaving" },
  draining: { finished: "reporting", cut: "leaving", fence: "leaving" },
  withdrawing: { job: "leaving", empty: "leaving", cut: "abandoned" },
  reporting: { empty: "leaving", cut: "abandoned" },
  leaving: { left: "stopped", cut: "abandoned" },
  abandoned: {},
};

/** @returns the next state; undefined if the event is ignored in this state */
export function nextState(
  state: WorkerState,
  event: WorkerEvent,
): WorkerState | undefined {
  return TRANSITIONS[state][event];
}

/** Whether a worker is part of the registration of its process. */
export function isActive(state: WorkerState): boolean {
  return state !== "stopped" && state !== "abandoned";
}

// --- The interface of a worker to its process, and the record of the process.

/** The interface of a worker to its process. */
export interface JobRunner {
  /** The worker requests jobs. */
  poll(): void;
  /** Run a job. It never rejects. */
  run(job: QueuedJob, lease: JobLease): Promise<Outcome>;
  /** There is no job for the worker. */
  onIdle(): void;
  /** The running job should end: its result will be dropped. */
  abort(reason: string): void;
  /** A job ended whose result was dropped. */
  dropped(): void;
  /** The name under which the worker was registered. */
  renamed(name: string): void;
}

/** The right of a worker to run one job. */
export interface JobLease {
  /** Id of the registration under which the job was fetched. */
  readonly process: string;
  /** Undefined outside of any queue. */
  readonly worker: WorkerIdentity | undefined;
  /** Locks that are renewed with the lease and end with it. */
  readonly locks: ReadonlyMap<string, HeldLock>;
  /** How long a lock without a time of its own lives unless it is renewed, in s. */
  readonly lockSeconds: number;
  hold(lock: HeldLock): void;
  /** Whether the lease is certainly valid now, without a call to the store. */
  isSure(): boolean;
  /** Ask the store. @returns false when the job was given to another worker */
  confirm(): Promise<boolean>;
  /**
   * Repeat a call to the store until it responds. Undefined when the lease expired meanwhile, or when the worker
   * should end in limited time and the store does not respond for another `LAST_MS`: the job is given to another worker.
   */
  persist<T>(call: () => Promise<T>): Promise<T | undefined>;
}

/** Why a worker loses its running job, which is requeued. */
export const ABORT_REASONS = {
  fence: "the job was given to another worker",
  cut: "the worker ends",
};

/** The process's record of one worker. Each start creates a new one. */
export class Member {
  state: WorkerState = "stopped";
  identity: WorkerIdentity;
  /** The registration under which it is listed. */
  registration = "";
  /** The registration under which it fetched its job. */
  fetchedIn = "";
  /** The outcome of its last job, until it is reported. */
  outcome: Outcome = NO_OUTCOME;
  /** The text of its last job. */
  raw?: string;
  /** Locks that live as long as the worker. */
  readonly locks = new Map<string, HeldLock>();
  /** Its last job was requeued because it took too long. */
  isCut = false;
  /** The time limit of its last job, in ms. */
  remainingMs = Infinity;
  /** Fires at that limit. */
  timer?: Timer;
  /** Called when it should end after its running job. */
  readonly endListeners = new Set<() => void>();
  /** Called when its last job has ended or was abandoned. */
  drained: () => void = () => undefined;
  lease!: JobLease;
  readonly ended: Promise<void>;
  end!: () => void;

  constructor(
    readonly runner: JobRunner,
    readonly name: string,
    queues: string,
  ) {
    this.identity = workerIdentity(name, queues);
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
  }
}

export function isJoining({ state }: Member): boolean {
  return state === "joining" || state === "cancelling";
}

/** Whether a worker in this state must be listed under the current registration. */
export function needsJoin(state: WorkerState): boolean {
  return isActive(state) && !ENDING.has(state);
}

const ENDING: ReadonlySet<WorkerState> = new Set([
  "draining",
  "withdrawing",
  "reporting",
  "leaving",
]);

export function isRequesting(state: WorkerState): boolean {
  return (
    state === "fetching" || state === "withdrawing" || state === "reporting"
  );
}

/**
 * Call `listener` when the worker should end, at once if it already should, and again when it should end earlier.
 * @returns a function that removes the listener
 */
export function onEnding(member: Member, listener: () => void): () => void {
  member.endListeners.add(listener);
  if (member.state !== "running") listener();
  return () => void member.endListeners.delete(listener);
}

export function untilDrained(member: Member): Promise<void> {
  if (member.state !== "draining") return Promise.resolve();
  return new Promise((resolve) => {
    member.drained = resolve;
  });
}
