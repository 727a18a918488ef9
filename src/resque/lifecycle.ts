/**
 * The states of a worker, and their transitions. Only this table defines them; `workerProcess.ts` acts on the result.
 */

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
