/**
 * The life of a worker: its states, and what leads from one to the next. This table is the only place that decides about
 * it; `workerProcess.ts` acts on what it says.
 */

export type WorkerState =
  /** Not registered: it takes no jobs. */
  | "stopped"
  /** Its registration is under way. */
  | "joining"
  /** It is to end, and its registration is still under way. */
  | "cancelling"
  /** It is part of a fetch that reports its last job and asks for the next one. */
  | "fetching"
  /** There was no job: it waits for a wake-up or for the next poll. */
  | "idle"
  /** It runs a job. */
  | "running"
  /** It runs a job that was given to another process, because its lease ended: the result is dropped. */
  | "fenced"
  /** It runs its last job. */
  | "draining"
  /** It is to end while its fetch may already have taken a job: that one goes back without a start. */
  | "withdrawing"
  /** Its last report is under way; it asks for no other job. */
  | "reporting"
  /** The end of its registration is under way; a job that it still holds goes back to its queue. */
  | "leaving"
  /** It ended while redis did not answer: what redis holds for it goes back when the lease ends. */
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
  /** The fetch brought none; a report without a request ends like this, too. */
  | "empty"
  /** There may be jobs. */
  | "wake"
  /** The job ended, in whatever way. */
  | "finished"
  /** The worker is to end after its job. */
  | "end"
  /** It has to end now. */
  | "cut"
  /** The lease of its process ended. */
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

/** @returns the next state; undefined when the event means nothing in this state */
export function nextState(
  state: WorkerState,
  event: WorkerEvent,
): WorkerState | undefined {
  return TRANSITIONS[state][event];
}

/** Whether a worker holds a place in the registration of its process. */
export function isActive(state: WorkerState): boolean {
  return state !== "stopped" && state !== "abandoned";
}
