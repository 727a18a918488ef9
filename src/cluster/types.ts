/** The shape of `api.cluster`. */

/** One server process that shares this redis and channel. */
export interface ClusterNode {
  /** Its `id`. */
  id: string;
  /** Tells a process from an earlier one of the same id. */
  instance: string;
  host: string;
  pid: number;
  /** Of actionhero. */
  version: string;
  /** ms since the epoch, by its own clock. */
  startedAt: number;
  /** Its last heartbeat: ms since the epoch, by the clock of redis. */
  seenAt: number;
  /** After how long without a heartbeat it counts as dead, in ms. */
  timeout: number;
  /** How many connections it had at its last heartbeat. */
  connections: number;
}

/** What a node writes down of itself; redis adds the time. */
export type NodeRecord = Omit<ClusterNode, "seenAt">;

/** What is to be done when a node is gone, or when this one was taken for gone. */
export type LostHook = (node: ClusterNode) => unknown;
export type ReturnHook = () => unknown;

export interface ClusterApi {
  /**
   * The nodes that are alive, oldest first, this one included.
   *
   * Nodes of v29 send no heartbeat and are not among them.
   */
  nodes(): Promise<ClusterNode[]>;
  /**
   * Call `hook` when a node has died without taking leave. One of the living nodes does it; when that one dies too
   * before it is done, another repeats it.
   */
  onNodeLost(hook: LostHook): void;
  /** Call `hook` when the others took this node for dead (a long pause, a lost network) and it is back. */
  onReturn(hook: ReturnHook): void;
  /**
   * Whether another process may be alive that has this node's id: what redis holds under the id can be its. That is
   * so, too, for the time of `heartbeatTimeout` after a process of this id died and was started anew on another host.
   */
  sharesId(): boolean;
  /** Call `hook` when such a process is there no more. */
  onAlone(hook: ReturnHook): void;
}

declare module "../api" {
  interface Api {
    cluster: ClusterApi;
  }
}
