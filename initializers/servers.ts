import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import {
  createServersApi,
  loadServers,
  startServers,
  stopServers,
} from "../src/server/registry";

export class Servers extends Initializer {
  constructor() {
    super();
    this.name = "servers";
    this.loadPriority = 599;
    this.startPriority = 900;
    this.stopPriority = 100;
  }

  override async initialize() {
    api.servers = createServersApi();
    await loadServers();
  }

  override async start() {
    await startServers();
  }

  override async stop() {
    await stopServers();
  }
}
