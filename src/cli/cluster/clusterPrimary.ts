/** The primary of `start-cluster`: keeps a number of workers running and replaces them without a gap. */
import cluster, { type Worker } from "node:cluster";
import { once } from "node:events";
import {
  type PrimaryMessage,
  type PrimaryCommand,
  READY_MESSAGE,
  type WorkerMessage,
} from "../../environment/primary";

interface ClusterOptions {
  workers: number;
  /** Worker N is named by this prefix and N; without it each worker generates its own name. */
  titlePrefix?: string;
  /** How long a worker may take to stop before it is killed, in ms, without its drain. */
  shutdownTimeoutMs: number;
  report: (message: string, level?: Level) => void;
  /** Called with the current state, and with `undefined` at the end. */
  status?: (text: string | undefined) => void;
}

type Level = "info" | "warning" | "error";

/** A line of the primary on stdout, between those of its workers. */
export function clusterLine(
  message: string,
  format: unknown,
  level: Level = "info",
): string {
  const text = `[cluster ${process.pid}] ${message}`;
  if (format !== "json") return text;
  const timestamp = new Date().toISOString();
  return JSON.stringify({ level, message: text, timestamp });
}

/** Give up when this many workers in a row ended before the first one served. */
const MAX_BOOT_FAILURES = 5;

/** A worker ends itself when its stop takes too long. One that cannot is killed after this additional time, in ms. */
const KILL_GRACE_MS = 1_000;

interface Slot {
  worker: Worker;
  forkedAt: number;
  readyAt?: number;
  /** How long it drains before it stops, in ms; undefined for a worker that does not obey messages. */
  drainDelay?: number;
  /** True during a requested shutdown. */
  retiring: boolean;
}

export class ClusterPrimary {
  private readonly slots = new Map<number, Slot>();
  private readonly respawns = new Set<NodeJS.Timeout>();
  private readonly backoff = new Backoff();
  /** One change of the workers at a time, in the order of the signals. */
  private changes: Promise<void> = Promise.resolve();
  private wanted: number;
  private titles = 0;
  /** The current change of the running workers. */
  private activity?: string;
  private everReady = false;
  private stopping?: Promise<number>;
  private ended!: (exitCode: number) => void;
  private readonly end = new Promise<number>((resolve) => {
    this.ended = resolve;
  });

  constructor(private readonly options: ClusterOptions) {
    this.wanted = options.workers;
  }

  /** Start the workers; resolves with the exit code when the cluster ends. */
  run(): Promise<number> {
    for (let n = 0; n < this.wanted; n++) this.fork();
    return this.end;
  }

  /** Replace every worker by a new one: each old worker is stopped once its successor serves. */
  restart(): Promise<void> {
    return this.change(async () => {
      const old = [...this.slots.values()].filter((slot) => !slot.retiring);
      this.options.report(`rolling restart of ${old.length} workers`);
      for (const [n, slot] of old.entries()) {
        if (this.stopping) return;
        this.activity = `rolling restart: replacing worker ${n + 1} of ${old.length}`;
        const successor = this.fork();
        if (!(await this.isReady(successor))) {
          this.options.report(
            "a new worker did not start: the rolling restart ends here, the old workers go on",
            "error",
          );
          return;
        }
        await this.retire(slot, "leave");
      }
      this.options.report("rolling restart done");
    });
  }

  /** Add one worker. */
  add(): Promise<void> {
    return this.change(async () => {
      this.wanted++;
      this.options.report(`adding a worker: ${this.wanted} in all`);
      await this.isReady(this.fork());
    });
  }

  /** Remove one worker, but never the last one. */
  remove(): Promise<void> {
    return this.change(async () => {
      const newest = [...this.slots.values()]
        .filter((slot) => !slot.retiring)
        .at(-1);
      if (this.wanted <= 1 || !newest) {
        this.options.report("the last worker stays");
        return;
      }
      this.wanted--;
      this.options.report(`removing a worker: ${this.wanted} left`);
      await this.retire(newest, "leave");
    });
  }

  /**
   * Stop all workers, then end with 0, or with 1 if one did not stop by itself. A second call ends their drain.
   * @param drains whether the workers serve on until load balancers have noticed (default true)
   */
  stop({ exitCode = 0, drains = true } = {}): Promise<number> {
    if (this.stopping)
      for (const slot of this.slots.values()) tell(slot, "stop now");
    this.stopping ??= this.stopAll(exitCode, drains ? "stop" : "stop now");
    return this.stopping;
  }

  private async stopAll(
    exitCode: number,
    command: PrimaryCommand,
  ): Promise<number> {
    this.options.report(`stopping ${this.slots.size} workers`);
    this.options.status?.("waiting for the workers to stop");
    for (const timer of this.respawns) clearTimeout(timer);
    const clean = await Promise.all(
      [...this.slots.values()].map((slot) => this.retire(slot, command)),
    );
    this.options.status?.(undefined);
    const code = clean.every(Boolean) ? exitCode : 1;
    this.ended(code);
    return code;
  }

  private change(step: () => Promise<void>): Promise<void> {
    this.changes = this.changes.then(async () => {
      if (this.stopping) return;
      await step();
      this.activity = undefined;
      this.tellStatus();
    });
    return this.changes;
  }

  private tellStatus(): void {
    if (this.stopping) return;
    const serving = this.countServing();
    const missing =
      serving < this.wanted
        ? `${serving} of ${this.wanted} workers serve`
        : undefined;
    this.options.status?.(this.activity ?? missing);
  }

  private countServing(): number {
    return [...this.slots.values()].filter(
      (slot) => slot.readyAt !== undefined && !slot.retiring,
    ).length;
  }

  private fork(): Slot {
    const { titlePrefix } = this.options;
    const title = titlePrefix && `${titlePrefix}${++this.titles}`;
    const worker = cluster.fork(title ? { ACTIONHERO_TITLE: title } : {});
    const slot: Slot = { worker, forkedAt: performance.now(), retiring: false };
    if (this.countServing() > 0) send(worker, "join");
    this.slots.set(worker.id, slot);
    this.tellStatus();

    worker.on("message", (message: unknown) => {
      const { actionhero } = (message ?? {}) as Partial<WorkerMessage>;
      if (actionhero) slot.drainDelay = actionhero.drainDelay;
      if (message !== READY_MESSAGE) return;
      slot.readyAt = performance.now();
      this.everReady = true;
      this.options.report(
        `worker ${worker.id} (pid ${worker.process.pid}) serves after ${Math.round(slot.readyAt - slot.forkedAt)} ms`,
      );
      this.tellStatus();
    });
    worker.once("exit", (code, signal) => this.onExit(slot, code, signal));
    return slot;
  }

  private onExit(slot: Slot, code: number, signal: string): void {
    this.slots.delete(slot.worker.id);
    const name = `worker ${slot.worker.id} (pid ${slot.worker.process.pid})`;
    if (slot.retiring || this.stopping) {
      this.options.report(`${name} stopped`);
      return;
    }
    const wait = this.backoff.next(
      slot.readyAt ? performance.now() - slot.readyAt : 0,
    );
    const reason = signal ? `signal ${signal}` : `code ${code}`;
    if (!this.everReady && this.backoff.failuresInARow >= MAX_BOOT_FAILURES) {
      this.options.report(`${name} ended with ${reason}: giving up`, "error");
      void this.stop({ exitCode: 1 });
      return;
    }
    this.options.report(
      `${name} ended with ${reason}: a new one starts in ${wait} ms`,
      "error",
    );
    this.respawnIn(wait);
  }

  private respawnIn(wait: number): void {
    const timer = setTimeout(() => {
      this.respawns.delete(timer);
      const serving = [...this.slots.values()].filter((s) => !s.retiring);
      if (!this.stopping && serving.length < this.wanted) this.fork();
    }, wait);
    this.respawns.add(timer);
  }

  /** Resolves with false if the worker ended before it served. */
  private async isReady(slot: Slot): Promise<boolean> {
    const gone = once(slot.worker, "exit").then(() => true);
    while (slot.readyAt === undefined) {
      const message = once(slot.worker, "message").then(() => false);
      if (await Promise.race([gone, message])) return false;
    }
    return true;
  }

  /** Make a worker stop; resolves with false if it had to be killed, or failed. */
  private async retire(slot: Slot, command: PrimaryCommand): Promise<boolean> {
    slot.retiring = true;
    const { worker } = slot;
    if (worker.isDead()) return true;

    const exit = once(worker, "exit") as Promise<[code: number | null]>;
    tell(slot, command);
    let killed = false;
    const drainMs = command === "stop" ? (slot.drainDelay ?? 0) : 0;
    const timer = setTimeout(
      () => {
        killed = true;
        this.options.report(
          `worker ${worker.id} did not stop: killed`,
          "warning",
        );
        worker.process.kill("SIGKILL");
      },
      drainMs + this.options.shutdownTimeoutMs + KILL_GRACE_MS,
    );
    const [code] = await exit;
    clearTimeout(timer);
    return !killed && !code;
  }
}

/** A worker that obeys no messages, or none yet, gets SIGTERM instead. */
function tell({ worker, drainDelay }: Slot, command: PrimaryCommand): void {
  if (drainDelay === undefined) worker.process.kill("SIGTERM");
  else send(worker, command);
}

function send(worker: Worker, command: PrimaryCommand): void {
  const message: PrimaryMessage = { actionhero: command };
  worker.send(message, () => undefined); // a worker that is gone needs no command
}

// --- How long to wait before a worker that ended unexpectedly is replaced.

/** The first delay, in ms; it doubles with each failure in a row. */
const FIRST_MS = 100;
const LONGEST_MS = 10_000;
/** A worker that ran this long, in ms, was healthy: the next failure starts a new series. */
const HEALTHY_MS = 30_000;

class Backoff {
  private failures = 0;

  /** How many workers in a row ended early. */
  get failuresInARow(): number {
    return this.failures;
  }

  /**
   * A worker ended.
   * @param ranMs how long it served
   * @returns how long to wait before the next one, in ms
   */
  next(ranMs: number): number {
    if (ranMs >= HEALTHY_MS) this.failures = 0;
    const wait = FIRST_MS * 2 ** this.failures;
    this.failures++;
    return Math.min(wait, LONGEST_MS);
  }
}
