/** Builds, opens and closes `api.cluster`. */
import { api } from "../api";
import { isAlive, Membership } from "./membership";
import { readNodes } from "./register";
import type { ClusterNode } from "./types";

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
