/** Metrics that are read at each scrape: connections, rooms, queues. */
import { createHash } from "node:crypto";
import { api } from "../api";
import { countRooms } from "../chat/roomStore";
import type { Registry } from "./registry";
import type { Gauge } from "./types";

/** How many queues are looked at, by their names. */
const MAX_QUEUES = 200;

export function collectState(registry: Registry): void {
  registry.gauge({
    name: "actionhero_connections",
    help: "Open connections of this process",
    labels: ["transport"],
    collect: (gauge) => {
      for (const { type } of api.connections.table.list())
        gauge.inc({ transport: type });
    },
  });
  registry.gauge({
    name: "actionhero_chat_members",
    help: "Memberships of this process's connections in chat rooms",
    collect: (gauge) => {
      let members = 0;
      for (const { rooms } of api.connections.table.list())
        members += rooms.length;
      gauge.set(members);
    },
  });
  registry.gauge({
    name: "actionhero_chat_rooms",
    help: "Chat rooms of the whole cluster",
    collect: async (gauge) => gauge.set(await countRooms()),
  });
  collectTasks(registry);
}

function collectTasks(registry: Registry): void {
  const heads = new Heads();
  let looking: Promise<QueueState[]> | undefined;
  // the collectors of one scrape begin together
  const look = () =>
    (looking ??= lookAtQueues(heads).finally(() => (looking = undefined)));
  const perQueue =
    (valueOf: (state: QueueState) => number) => async (gauge: Gauge) => {
      for (const state of await look())
        gauge.set(valueOf(state), { queue: state.queue });
    };
  registry.gauge({
    name: "actionhero_queue_jobs",
    help: "Jobs that wait in a queue of the cluster",
    labels: ["queue"],
    collect: perQueue(({ length }) => length),
  });
  registry.gauge({
    name: "actionhero_queue_oldest_job_seconds",
    help: "How long this process has seen the next job of a queue wait",
    labels: ["queue"],
    collect: perQueue(({ waitedMs }) => waitedMs / 1000),
  });
  registry.gauge({
    name: "actionhero_failed_jobs",
    help: "Entries of the cluster's list of failed jobs",
    collect: async (gauge) => gauge.set(await api.resque.queue.failedCount()),
  });
  registry.gauge({
    name: "actionhero_task_processors",
    help: "Workers of this process",
    labels: ["state"],
    collect: (gauge) => {
      const { workers } = api.resque.multiWorker ?? { workers: [] };
      const busy = workers.filter(({ working }) => working).length;
      gauge.set(busy, { state: "busy" });
      gauge.set(workers.length - busy, { state: "idle" });
    },
  });
}

interface QueueState {
  queue: string;
  length: number;
  waitedMs: number;
}

async function lookAtQueues(heads: Heads): Promise<QueueState[]> {
  const { queue } = api.resque;
  const names = (await queue.queues()).sort().slice(0, MAX_QUEUES);
  const lengths = await queue.lengths(names);
  return Promise.all(
    names.map(async (name) => {
      const { queued, waiting } = lengths[name]!;
      const [next] = queued > 0 ? await queue.queued(name, 0, 0) : [];
      const waitedMs = heads.see(name, queued, next);
      return { queue: name, length: queued + waiting, waitedMs };
    }),
  );
}

interface Head {
  digest: string;
  length: number;
  /** ms since the process began. */
  since: number;
}

/**
 * Tracks how long the first job of each queue has been there. Jobs contain no enqueue time, because they are compared
 * byte by byte. A different text or a shorter queue means a different job.
 */
class Heads {
  private readonly heads = new Map<string, Head>();

  /** @returns how long this job has been the first one, in ms */
  see(queue: string, length: number, job: object | undefined): number {
    if (!job) {
      this.heads.delete(queue);
      return 0;
    }
    const now = performance.now();
    const digest = createHash("sha1").update(JSON.stringify(job)).digest("hex");
    const known = this.heads.get(queue);
    const isSame = known?.digest === digest && length >= known.length;
    const since = isSame ? known.since : now;
    this.heads.set(queue, { digest, length, since });
    return now - since;
  }
}
