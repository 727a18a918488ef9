/** What a simulation needs of a store, whatever it is made of. */
import type { ExchangeCall, QueueStore } from "../../../src/resque/store/store";
import type { Network } from "./network";
import type { SimProcess, World } from "./world";

export interface Backend {
  /** The store itself, without the network. */
  readonly store: QueueStore;
  readonly state: StoreState;
  /** The store as a process sees it. */
  connect(process: SimProcess): QueueStore;
  /** What the thread of a process sends. @returns whether the process is registered */
  heartbeat(process: string, ms: number): Promise<boolean>;
  /** The store loses its data. */
  flush(): Promise<void>;
}

/** What the store holds after the last operation. */
export interface StoreState {
  /** Differs when a job may have moved. */
  readonly stamp: string;
  readonly processed: number;
  readonly failed: number;
  /** Entries of the failed list. */
  readonly failedEntries: readonly string[];
  /** Number of the last call of a process; undefined when it is not registered. */
  lastCall(process: string): number | undefined;
  worker(member: string): { owner: string; raw?: string } | undefined;
  /** Visit each job, with the name of the place where it is. */
  forEachJob(visit: (raw: string, place: string) => void): void;
  /** What contradicts itself in the store. */
  inconsistency(): string | undefined;
}

/** Sees reports of jobs just before they take effect. */
export interface Witness {
  reported(call: ExchangeCall): void;
  /** An operation has taken effect. */
  changed(): void;
}

export type OpenBackend = (
  world: World,
  network: Network,
  witness: Witness,
) => Promise<Backend>;
