import { addPaging } from "../src/action/safeParams";
import { addRateLimit } from "../src/action/rateLimit";
import { closeClaims } from "../src/action/idempotency";
import { createActionsApi, loadActions } from "../src/action/registry";
import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";

export class ActionsInitializer extends Initializer {
  constructor() {
    super();
    this.name = "actions";
    this.loadPriority = 410;
    this.stopPriority = 102; // after the servers and the workers
  }

  override async initialize() {
    api.actions = createActionsApi();
    addRateLimit();
    addPaging();
    await loadActions();
  }

  override async stop() {
    await closeClaims();
  }
}
