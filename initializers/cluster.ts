import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import { createCluster, joinNodes, leaveNodes } from "../src/cluster/cluster";

/** A node from before anything leaves traces of it in redis until all of them are gone. */
export class ClusterInitializer extends Initializer {
  constructor() {
    super();
    this.name = "cluster";
    this.loadPriority = 210;
    this.startPriority = 110;
    this.stopPriority = 99998;
  }

  override async initialize() {
    createCluster();
    api.cluster.onNodeLost(({ id }) => api.chatRoom.removeMembersOfHost(id));
    api.cluster.onReturn(() => api.chatRoom.restoreMembers());
    api.cluster.onAlone(() => api.chatRoom.restoreMembers());
  }

  override async start() {
    await joinNodes();
  }

  override async stop() {
    await leaveNodes();
  }
}
