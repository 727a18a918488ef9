/** The shape of `api.cluster`. */

/** One server process that shares this redis and channel. */
export interface ClusterNode {
  /** Its `id`. */
  id: string;
  /** Distinguishes a process from an earlier one of the same id. */
  instance: string;
  host: string;
  pid: number;
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
