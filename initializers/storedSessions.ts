import { Initializer } from "../src/boot/initializer";
import { createStoredSessions } from "../src/session/storedSessions";

/** Not named `session`: projects of version 29 have an initializer, and an `api.session`, of that name. */
export class StoredSessionsInitializer extends Initializer {
  constructor() {
    super();
    this.name = "storedSessions";
    this.loadPriority = 210;
  }

  override async initialize() {
    createStoredSessions();
  }
}
