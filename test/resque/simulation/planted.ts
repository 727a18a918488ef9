/** Faults that the engine once had, planted again for one run: the simulation has to find each of them. */
import { MultiWorker } from "../../../src/resque/multiWorker";
import type { MemoryData } from "../../../src/resque/store/memoryData";
import type { MemoryStore } from "../../../src/resque/store/memoryStore";
import type {
  Effect,
  ExchangeCall,
  QueueStore,
} from "../../../src/resque/store/store";
import type { Job } from "../../../src/resque/types";
import { TRANSITIONS, type Member } from "../../../src/resque/member";
import { WorkerProcess } from "../../../src/resque/workerProcess";
import { SimHeartbeat } from "./heartbeat";
import { PeriodicTasks } from "./periodic";
import type { Shares } from "./simulation";

export interface PlantedFault {
  name: string;
  /** Changes the engine. @returns takes the change back */
  plant: () => () => void;
  /** Changes the store of one run. */
  changeStore?: (store: MemoryStore) => void;
  /** It shows in special histories only. */
  shares?: Partial<Shares>;
  /** Few seeds show it: the search begins here (default 1). A change of the engine may move them. */
  first?: number;
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
  {
    name: "a report that is sent again counts again",
    plant: () => () => undefined,
    changeStore(store) {
      const exchange: QueueStore["exchange"] = store.exchange.bind(store);
      store.exchange = (call: ExchangeCall) => {
        const last = store["data"].processes.get(call.process)?.call ?? 0;
        return exchange({ ...call, number: Math.max(call.number, last + 1) });
      };
    },
  },
  {
    name: "a process that stood still starts what it fetched before",
    first: 55,
    plant: () =>
      patch(
        WorkerProcess.prototype as unknown as { isLeaseSure: () => boolean },
        "isLeaseSure",
        () => true,
      ),
  },
  {
    name: "a process whose jobs were given back may still report them",
    plant: () => () => undefined,
    changeStore(store) {
      const reap: QueueStore["reap"] = store.reap.bind(store);
      store.reap = async (process, graceMs) => {
        const { processes, workers } = store["data"];
        const registered = processes.get(process);
        const kept = [...(registered?.members ?? [])].map(
          (member) => [member, workers.get(member)!] as const,
        );
        const returned = await reap(process, graceMs);
        if (!returned || !registered) return returned;
        processes.set(process, registered);
        for (const [member, listed] of kept) workers.set(member, listed);
        return returned;
      };
    },
  },
  {
    name: "the concurrency slots of the dead are never free again",
    first: 100,
    plant: () => () => undefined,
    changeStore(store) {
      const reap: QueueStore["reap"] = store.reap.bind(store);
      store.reap = async (process, graceMs) => {
        const { data } = store as unknown as { data: MemoryData };
        const releaseSlot = data.releaseSlot.bind(data);
        data.releaseSlot = () => undefined;
        const returned = await reap(process, graceMs);
        data.releaseSlot = releaseSlot;
        return returned;
      };
      store.sweepSlots = () => Promise.resolve();
    },
  },
  {
    name: "delayed jobs go at the nearest second",
    plant: () => () => undefined,
    changeStore(store) {
      const delay: QueueStore["delay"] = store.delay.bind(store);
      store.delay = (job, due, options) => {
        const dueMs = store["data"].dueMs(due);
        const atMs = Math.round(dueMs / 1000) * 1000;
        return delay(job, { atMs }, options);
      };
    },
  },
  {
    name: "a periodic task that runs is taken for one that was stopped",
    plant: () => () => undefined,
    changeStore(store) {
      store.isStopped = () => Promise.resolve(true);
    },
  },
  {
    name: "the next run of a periodic task is planned before the report of the last one",
    plant: () => patch(PeriodicTasks.prototype, "define", planningAtOnce),
    shares: { periodic: 1 },
    first: 207,
  },
  {
    name: "a worker that is to end after its job is not told that the job was given to another",
    first: 650,
    plant: () =>
      patch(TRANSITIONS, "draining", {
        finished: "reporting",
        cut: "leaving",
      }),
  },
  {
    name: "a blocked event loop loses its lease",
    plant: () => patch(SimHeartbeat.prototype, "beat", () => undefined),
    shares: { blocked: 1 },
  },
  {
    name: "the waits of periodic tasks follow the clocks of the processes",
    plant: () => () => undefined,
    changeStore(store) {
      const exchange: QueueStore["exchange"] = store.exchange.bind(store);
      const atMs = 1_800_000_000_000; // a clock that stands still
      const stale = (effect: Effect): Effect =>
        effect.do === "planRun" && "inMs" in effect.next.due
          ? { ...effect, next: { ...effect.next, due: { atMs } } }
          : effect;
      store.exchange = (call: ExchangeCall) =>
        exchange({
          ...call,
          slots: call.slots.map(({ outcome, ...slot }) => ({
            ...slot,
            outcome: { ...outcome, effects: outcome.effects?.map(stale) },
          })),
        });
    },
  },
];

/** Faults of the scripts: each changes the text of some. */
export const PLANTED_SCRIPTS: readonly {
  name: string;
  change: (name: string, lua: string) => string;
}[] = [
  {
    name: "what is too late takes effect",
    change: (_name, lua) =>
      lua.replace("if time > tonumber(ARGV[5]) then", "if false then"),
  },
  {
    name: "an enqueue that is sent again adds the job again",
    change: (name, lua) =>
      name === "ENQUEUE" || name === "PRODUCE"
        ? lua.replace("redis.pcall('GETBIT', ops, number), nil", "0, nil")
        : lua,
  },
  {
    name: "a report that is sent again counts again",
    change: (name, lua) =>
      name === "EXCHANGE"
        ? lua.replace(
            "local isRepeated = call == last",
            "local isRepeated = false",
          )
        : lua,
  },
  {
    name: "a key of a wrong type ends a call between its reports and its jobs",
    change: (name, lua) =>
      name === "EXCHANGE"
        ? lua.replace(
            "local node, after, paused, named =",
            "if processed > 0 then redis.call('LLEN', process) end\n$&",
          )
        : lua,
  },
  {
    name: "a worker leaves and does not give its job back",
    change: (name, lua) =>
      name === "LEAVE"
        ? lua.replace("      requeue(queue, raw)\n      result", "      result")
        : lua,
  },
  {
    name: "a job that waits for a slot stays in its record",
    change: (name, lua) =>
      name === "ACQUIRE_SLOT"
        ? lua.replace(
            "redis.call('DEL', record)\n  return 'waiting'",
            "return 'waiting'",
          )
        : lua,
  },
];

type Define = PeriodicTasks["define"];

const define: Define = Reflect.get(PeriodicTasks.prototype, "define");

/** What a run plans for its report is planned when the run ends. */
const planningAtOnce: Define = function (this: PeriodicTasks, process, work) {
  const defined = define.call(this, process, work);
  for (const job of Object.values(defined.jobs) as Job[]) {
    const { finished } = job;
    job.finished = async (view) => {
      await finished!(view);
      const effects = view.takeEffects();
      for (const effect of effects)
        if (effect.do === "planRun")
          await view.lease.persist(() => view.store.plan(effect));
        else if (effect.do !== "releaseLock") view.onFinish(effect);
    };
  }
  return defined;
};

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
