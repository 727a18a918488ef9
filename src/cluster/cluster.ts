/** Builds, opens and closes `api.cluster`. */
import { api } from "../api";
import {
  readNodes,
  type ClusterNode,
  claimCleanUp,
  releaseCleanUp,
  removeNode,
  writeHeartbeat,
  type LostHook,
  type NodeRecord,
  type ReturnHook,
} from "./register";
import { randomUUID } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import { actionheroVersion, id } from "../config/config";
import { settings } from "../config/settings";
import { SkewWatch } from "../utils/clockSkew";
import { thisMachine } from "../utils/promises";
import { isRedisAway, toError } from "../errors";
import { log } from "../log/log";
import {
  logFailure,
  noteSkew,
  noteWriteAccepted,
  unlessFull,
  runStopStep,
} from "../redis/outages";

let membership: Membership | undefined;

/** Create `api.cluster`; hooks can be added from here on. */
export function createCluster(): void {
  const own = new Membership();
  membership = own;
  api.cluster = {
    nodes: listNodes,
    onNodeLost: (hook) => void own.lostHooks.push(hook),
    onReturn: (hook) => void own.returnHooks.push(hook),
    sharesId: () => own.duplicateId.isAlive,
    onAlone: (hook) => void own.aloneHooks.push(hook),
  };
}

export async function joinNodes(): Promise<void> {
  await membership?.join();
}

export async function leaveNodes(): Promise<void> {
  await membership?.leave();
}

async function listNodes(): Promise<ClusterNode[]> {
  const { now, nodes } = await readNodes();
  return nodes
    .filter((node) => isAlive(node, now))
    .sort((a, b) => a.startedAt - b.startedAt);
}

// --- This process as a node of the cluster: its heartbeat, and its monitoring of the others.

class Membership {
  readonly lostHooks: LostHook[] = [];
  readonly returnHooks: ReturnHook[] = [];
  readonly aloneHooks: ReturnHook[] = [];
  readonly duplicateId = new DuplicateId();
  private readonly instance = randomUUID();
  private readonly startedAt = Date.now();
  private readonly skew = new SkewWatch(thisMachine, (ms) =>
    noteSkew(api.redis.clients.client, ms),
  );
  private timer?: NodeJS.Timeout;
  private round?: Promise<void>;
  private left = true;
  /** When the last round succeeded, by the monotonic clock. */
  private lastRoundAt = 0;
  /** Since when rounds have succeeded one after another. */
  private steadySince = 0;
  private isOut = false;
  private warnedOfDouble = false;

  /** Register this node until `leave`. */
  async join(): Promise<void> {
    if (interval() <= 0) return;
    this.left = false;
    await unlessFull("register this node", () => this.register());
    this.steadySince = this.lastRoundAt = performance.now();
    this.schedule(interval());
  }

  private async register(): Promise<void> {
    const before = await this.heartbeat();
    if (before && this.isOther(before) && !hasEnded(before))
      this.duplicateId.saw(before, (await readNodes()).now - before.seenAt);
  }

  private async heartbeat(): Promise<ClusterNode | undefined> {
    const sentAt = performance.now();
    const { before, now } = await writeHeartbeat(this.describe());
    this.skew.measured(now, sentAt);
    return before;
  }

  /** Unregister; no other node will clean up after this one. */
  async leave(): Promise<void> {
    if (this.left) return;
    this.left = true;
    clearTimeout(this.timer);
    await runStopStep(api.redis.clients.client, async () => {
      await this.round; // a heartbeat in progress would register it again
      await removeNode(String(id));
    });
  }

  private schedule(delayMs: number): void {
    if (this.left) return;
    this.timer = setTimeout(() => {
      const begun = performance.now();
      this.round = this.runRound().finally(() => {
        this.round = undefined;
        this.schedule(Math.max(interval() - (performance.now() - begun), 0));
      });
    }, delayMs);
    this.timer.unref();
  }

  /** One heartbeat and one check of the others; never rejects. */
  private async runRound(): Promise<void> {
    try {
      const before = await this.heartbeat();
      if (!before) await this.comeBack();
      else if (this.isOther(before)) this.noteDouble(before);
      if (this.duplicateId.hasDied) await this.dropDuplicateId();
      if (this.isSteady()) await this.watchOthers();
      this.lastRoundAt = performance.now();
      this.isOut = false;
      noteWriteAccepted(api.redis.clients.client);
    } catch (error) {
      // during an outage, every round fails
      if (isRedisAway(error))
        logFailure(api.redis.clients.client, error, "no heartbeat", "warning");
      else if (!this.isOut)
        log(`no heartbeat: ${toError(error).message}`, "warning");
      this.isOut = true;
    }
  }

  /**
   * After a pause of redis or of this process, the others get time to reconnect and for a heartbeat before they count as dead:
   * the first rounds may follow each other at once.
   */
  private isSteady(): boolean {
    const now = performance.now();
    const patience = 3 * interval();
    if (now - this.lastRoundAt >= patience) this.steadySince = now;
    return now - this.steadySince >= patience;
  }

  private async watchOthers(): Promise<void> {
    const { now, nodes } = await readNodes();
    for (const node of nodes) {
      if (this.left) return;
      if (node.id === String(id) || isAlive(node, now)) continue;
      if (await claimCleanUp(node.id, this.instance))
        await this.clearUpAfter(node);
    }
  }

  private async clearUpAfter(node: ClusterNode): Promise<void> {
    log(
      `node ${node.id} has sent no heartbeat for ${node.timeout} ms: it is lost`,
      "alert",
    );
    // a node that returns meanwhile finds itself unregistered, and restores the entries that are removed here
    const isDone = await runHooks(this.lostHooks, (hook) => hook(node));
    if (isDone) await removeNode(node.id);
    await releaseCleanUp(node.id);
  }

  private async comeBack(): Promise<void> {
    // after an outage, the reason is known
    const severity = this.isOut ? "info" : "warning";
    log("the cluster had lost this node; it is back", severity);
    await runHooks(this.returnHooks, (hook) => hook());
  }

  private isOther({ instance }: ClusterNode): boolean {
    return instance !== this.instance;
  }

  private async dropDuplicateId(): Promise<void> {
    if (await runHooks(this.aloneHooks, (hook) => hook()))
      this.duplicateId.forget();
  }

  private noteDouble(other: ClusterNode): void {
    this.duplicateId.saw(other);
    if (this.warnedOfDouble) return;
    this.warnedOfDouble = true;
    log(
      `another process has the id ${id} (pid ${other.pid} on ${other.host}): give each its own`,
      "error",
    );
  }

  private describe(): NodeRecord {
    return {
      id: String(id),
      instance: this.instance,
      host: os.hostname(),
      pid: process.pid,
      pidSpace: PID_SPACE,
      version: actionheroVersion,
      startedAt: this.startedAt,
      timeout: settings().redis.heartbeatTimeout,
      connections: countConnections(),
    };
  }
}

function isAlive({ seenAt, timeout }: ClusterNode, now: number) {
  return now - seenAt < timeout;
}

function interval(): number {
  return settings().redis.heartbeatInterval;
}

function countConnections(): number {
  const { connections } = api as {
    connections?: { table: { count: number } };
  };
  return connections?.table.count ?? 0;
}

/** @returns whether all hooks succeeded; a failing hook does not prevent the others from running */
async function runHooks<Hook>(
  hooks: readonly Hook[],
  call: (hook: Hook) => unknown,
): Promise<boolean> {
  let isDone = true;
  for (const hook of hooks) {
    try {
      await call(hook);
    } catch (error) {
      isDone = false;
      log(`a hook of the cluster failed: ${String(error)}`, "error", {
        stack: toError(error).stack,
      });
    }
  }
  return isDone;
}

// --- Detects another process with the same id: a configuration mistake, or a process that died before this one started.

class DuplicateId {
  /** When it was last seen alive, by the monotonic clock. */
  private seenAt?: number;
  private timeout = 0;

  /** @param quietMs time since its last heartbeat, in ms */
  saw(other: ClusterNode, quietMs = 0): void {
    this.seenAt = performance.now() - quietMs;
    this.timeout = other.timeout;
  }

  /** Whether such a process may be alive. */
  get isAlive(): boolean {
    return (
      this.seenAt !== undefined &&
      performance.now() - this.seenAt < this.timeout
    );
  }

  /** Whether such a process existed and has been silent for so long that it counts as dead. */
  get hasDied(): boolean {
    return this.seenAt !== undefined && !this.isAlive;
  }

  forget(): void {
    this.seenAt = undefined;
  }
}

/**
 * Where a pid means one process: a start of the kernel, and a pid namespace of it. Containers may share the host's name, and each has
 * a pid 1. Empty where the system does not say it.
 */
const PID_SPACE = readPidSpace();

function readPidSpace(): string {
  try {
    const boot = fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
    return `${boot.trim()} ${fs.readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return "";
  }
}

/** Whether a process is known to have ended; false if that cannot be determined from here. */
function hasEnded({ host, pid, pidSpace }: ClusterNode): boolean {
  if (host !== os.hostname() || pidSpace !== PID_SPACE) return false;
  if (!Number.isInteger(pid) || pid <= 0) return false;
  if (pid === process.pid) return true; // an earlier start of this very process
  try {
    process.kill(pid, 0); // checks whether it exists, and sends no signal
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
