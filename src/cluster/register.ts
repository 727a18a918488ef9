/** The register of nodes in redis, with the last heartbeat of each. */
import type { Redis } from "ioredis";
import { settings } from "../config/settings";
import { commandClient } from "../redis/clients";
import { beat, claim, read, release, remove } from "./steps";
import type { ClusterNode, NodeRecord } from "./types";

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
 * @returns its previous entry in the register
 */
export async function writeHeartbeat(
  record: NodeRecord,
): Promise<ClusterNode | undefined> {
  const text = JSON.stringify(record);
  const before = await beat(client(), keyOf("nodes"), record.id, text);
  return before === null ? undefined : parse(record.id, before);
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
