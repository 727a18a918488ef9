import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import { createConnectionsApi } from "../src/connection/registry";

export class ConnectionsInitializer extends Initializer {
  constructor() {
    super();
    this.name = "connections";
    this.loadPriority = 400;
  }

  override async initialize() {
    api.connections = createConnectionsApi();
  }
}
