/** The shape of `api.cluster`, and the register of nodes in redis, with the last heartbeat of each. */
import type { Redis } from "ioredis";
import { settings } from "../config/settings";
import { commandClient } from "../redis/clients";
import { defineTimed } from "../redis/script";
import { runAtomically } from "../redis/atomic";

/** One server process that shares this redis and channel. */
export interface ClusterNode {
  /** Its `id`. */
  id: string;
  /** Distinguishes a process from an earlier one of the same id. */
  instance: string;
  host: string;
  pid: number;
  /** Where `pid` is unique: a start of the kernel and a pid namespace (Linux); `pid` is compared only within it. */
  pidSpace?: string;
  /** The version of actionhero. */
  version: string;
  /** ms since the epoch, by its own clock. */
  startedAt: number;
  /** Its last heartbeat: ms since the epoch, by the clock of redis. */
  seenAt: number;
  /** Time without a heartbeat after which it counts as dead, in ms. */
  timeout: number;
  /** The number of its connections at its last heartbeat. */
  connections: number;
}

/** The record that a node writes; redis adds the time. */
export type NodeRecord = Omit<ClusterNode, "seenAt">;

/** A hook for when a node is lost, or when this one was considered lost. */
export type LostHook = (node: ClusterNode) => unknown;
export type ReturnHook = () => unknown;

export interface ClusterApi {
  /**
   * The nodes that are alive, oldest first, this one included.
   *
   * Nodes of v29 send no heartbeat and are not listed.
   */
  nodes(): Promise<ClusterNode[]>;
  /**
   * Call `hook` when a node has died without unregistering. One of the living nodes runs it; if that node also dies
   * before it has finished, another repeats it.
   */
  onNodeLost(hook: LostHook): void;
  /** Call `hook` when the others considered this node dead (a long pause, a lost network) and it is back. */
  onReturn(hook: ReturnHook): void;
  /**
   * Whether another process with this node's id may be alive, so that entries in redis under the id may belong to
   * it. This is also true for `heartbeatTimeout` after a process of this id died and was restarted on another host.
   */
  sharesId(): boolean;
  /** Call `hook` when such a process no longer exists. */
  onAlone(hook: ReturnHook): void;
}

declare module "../api" {
  interface Api {
    cluster: ClusterApi;
  }
}

/** A heartbeat that is later than now by more than this was sent before the clock of redis was set back, in ms. */
const CLOCK_SLACK_MS = 5_000;

/** How long one node may take to clean up after another before a third one may try, in ms. */
const CLAIM_MS = 60_000;

/** The braces put all keys of the register into one slot of a Redis Cluster. */
function keyOf(part: string): string {
  return `{actionhero:cluster}:${settings().general.channel}:${part}`;
}

function client(): Redis {
  return commandClient("cluster");
}

/**
 * Write a heartbeat of this node.
 * @returns its previous entry in the register, and the time of redis in ms
 */
export async function writeHeartbeat(
  record: NodeRecord,
): Promise<{ before?: ClusterNode; now: number }> {
  const text = JSON.stringify(record);
  const reply = await beat(client(), keyOf("nodes"), record.id, text);
  const { before, now } = reply;
  return before === null ? { now } : { now, before: parse(record.id, before) };
}

/** All nodes of the register, and the time to compare their `seenAt` with. */
export async function readNodes(): Promise<{
  now: number;
  nodes: ClusterNode[];
}> {
  const { now, entries } = await read(client(), keyOf("nodes"));
  const nodes: ClusterNode[] = [];
  for (const [id, text] of entries) {
    const node = parse(id, text);
    if (node) nodes.push(node);
  }
  return { now, nodes };
}

/** Remove a node; a node that is alive after all notices at its next heartbeat. */
export async function removeNode(id: string): Promise<void> {
  await remove(client(), keyOf("nodes"), id);
}

/** @returns whether `owner` is the one to clean up after the node */
export function claimCleanUp(nodeId: string, owner: string): Promise<boolean> {
  return claim(client(), keyOf(`lost:${nodeId}`), owner, CLAIM_MS);
}

export async function releaseCleanUp(nodeId: string): Promise<void> {
  await release(client(), keyOf(`lost:${nodeId}`));
}

/** `<ms> <JSON>`; undefined for an entry of another program. */
function parse(id: string, text: string): ClusterNode | undefined {
  const space = text.indexOf(" ");
  const seenAt = Number(text.slice(0, space));
  try {
    const record = JSON.parse(text.slice(space + 1)) as NodeRecord;
    if (!Number.isFinite(seenAt) || !Number.isFinite(record.timeout))
      return undefined;
    return { ...record, id, seenAt };
  } catch {
    return undefined;
  }
}

// --- The atomic operations on the register of nodes.

// KEYS: register (hash: node id -> "<ms> <record>"). ARGV: node id, record. Returns the time of redis in ms, then the previous record, or false.
// Atomic, so that the time is that of the write and a removal by another node is never missed.
const BEAT = defineTimed(`
local before = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', time) .. ' ' .. ARGV[2])
return {string.format('%.0f', time), before}`);

// KEYS: register. Returns the time of redis in ms, then id and entry of each node in turn.
// Atomic, so that ages refer to the moment of reading, regardless of the clocks of the nodes. A heartbeat later than now was sent before
// the clock was set back: its age begins now.
const READ = defineTimed(`
local found = redis.call('HGETALL', KEYS[1])
for i = 2, #found, 2 do
  local seen, record = string.match(found[i], '^(%d+) (.*)$')
  if seen and tonumber(seen) > time + ${CLOCK_SLACK_MS} then
    found[i] = string.format('%.0f', time) .. ' ' .. record
    redis.pcall('HSET', KEYS[1], found[i - 1], found[i])
  end
end
table.insert(found, 1, string.format('%.0f', time))
return found`);

// KEYS: register. ARGV: node id.
const REMOVE = defineTimed(`return redis.call('HDEL', KEYS[1], ARGV[1])`);

// KEYS: claim. ARGV: owner, ms. Returns whether the owner holds it.
const CLAIM = defineTimed(`
if redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then return 1 end
return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0`);

// KEYS: claim.
const RELEASE = defineTimed(`return redis.call('DEL', KEYS[1])`);

/** Write a heartbeat; returns the previous entry, and the time of redis in ms. */
export async function beat(
  redis: Redis,
  register: string,
  id: string,
  record: string,
): Promise<{ now: number; before: string | null }> {
  const reply = await runAtomically<[string, string | null]>(redis, {
    script: BEAT,
    keys: [register],
    args: [id, record],
    plain: async () => {
      const before = await redis.hget(register, id);
      const now = String(Date.now());
      await redis.hset(register, id, `${now} ${record}`);
      return [now, before];
    },
  });
  return { now: Number(reply[0]), before: reply[1] };
}

/** The entries by node id, and the time of redis in ms. */
export async function read(
  redis: Redis,
  register: string,
): Promise<{ now: number; entries: Map<string, string> }> {
  const [now, ...flat] = await runAtomically<string[]>(redis, {
    script: READ,
    keys: [register],
    args: [],
    plain: async () => {
      const found = await redis.hgetall(register);
      return [String(Date.now()), ...Object.entries(found).flat()];
    },
  });
  const entries = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2)
    entries.set(flat[i]!, flat[i + 1]!);
  return { now: Number(now), entries };
}

export async function remove(
  redis: Redis,
  register: string,
  id: string,
): Promise<void> {
  await runAtomically(redis, {
    script: REMOVE,
    keys: [register],
    args: [id],
    plain: () => redis.hdel(register, id),
  });
}

/** @returns whether `owner` holds `key`, newly for `ms` milliseconds or already */
export async function claim(
  redis: Redis,
  key: string,
  owner: string,
  ms: number,
): Promise<boolean> {
  const reply = await runAtomically<number>(redis, {
    script: CLAIM,
    keys: [key],
    args: [owner, ms],
    plain: async () => {
      if ((await redis.set(key, owner, "PX", ms, "NX")) === "OK") return 1;
      return (await redis.get(key)) === owner ? 1 : 0;
    },
  });
  return reply === 1;
}

export async function release(redis: Redis, key: string): Promise<void> {
  await runAtomically(redis, {
    script: RELEASE,
    keys: [key],
    args: [],
    plain: () => redis.del(key),
  });
}
