/** Faults that the engine once had, planted again for one run: the simulation has to find each of them. */
import { TRANSITIONS } from "../../../src/resque/lifecycle";
import { MultiWorker } from "../../../src/resque/multiWorker";
import type { MemoryStore } from "../../../src/resque/store/memoryStore";
import type { ExchangeCall, QueueStore } from "../../../src/resque/store/store";
import { WorkerProcess, type Member } from "../../../src/resque/workerProcess";

export interface PlantedFault {
  name: string;
  /** Changes the engine. @returns takes the change back */
  plant: () => () => void;
  /** Changes the store of one run. */
  changeStore?: (store: MemoryStore) => void;
}

export const PLANTED: readonly PlantedFault[] = [
  {
    name: "a stop that ends a worker while it starts, and drops the registration with its jobs",
    plant: () =>
      both(
        patch(TRANSITIONS, "joining", { joined: "fetching" }),
        patch(WorkerProcess.prototype, "close", hastyClose),
      ),
    changeStore(store) {
      store.deregister = (process) => {
        const data = store["data"];
        for (const member of data.processes.get(process)?.members ?? [])
          data.workers.delete(member);
        data.processes.delete(process);
        return Promise.resolve([]);
      };
    },
  },
  {
    name: "a scale-down that gives running jobs back",
    plant: () =>
      patch(
        MultiWorker.prototype as unknown as { retireOne: () => void },
        "retireOne",
        function (this: MultiWorker) {
          const worker = this.workers.pop();
          void worker?.end();
        },
      ),
  },
  {
    name: "a job that is fetched while its worker is ended runs",
    plant: () =>
      both(
        patch(TRANSITIONS, "fetching", {
          job: "running",
          empty: "idle",
          end: "leaving",
        }),
        patch(TRANSITIONS, "leaving", {
          job: "running",
          left: "stopped",
          cut: "abandoned",
        }),
      ),
  },
  {
    name: "a key of a wrong type that spoils every fetch",
    plant: () => () => undefined,
    changeStore(store) {
      const exchange: QueueStore["exchange"] = store.exchange.bind(store);
      store.exchange = (call: ExchangeCall) =>
        call.queues.includes("*")
          ? Promise.reject(new Error("WRONGTYPE queue:zzz"))
          : exchange(call);
    },
  },
];

/** Ends what has started, and does not wait for what is starting. */
async function hastyClose(this: WorkerProcess, ms: number): Promise<void> {
  const process = this as unknown as {
    members: Set<{ state: string }>;
    isClosed: boolean;
    deregister(deadline: number): Promise<void>;
  };
  const started = [...process.members].filter(
    ({ state }) => state !== "joining",
  );
  await Promise.all(started.map((member) => this.end(member as Member, ms)));
  await process.deregister(Infinity);
}

function patch<Target extends object, Key extends keyof Target>(
  target: Target,
  key: Key,
  value: Target[Key],
): () => void {
  const before = target[key];
  target[key] = value;
  return () => {
    target[key] = before;
  };
}

function both(...undo: (() => void)[]): () => void {
  return () => undo.forEach((one) => one());
}
