import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import {
  createResqueApi,
  startWorking,
  stopWorking,
} from "../src/task/resqueApi";

/** Runs jobs: the workers and the scheduler of this process. */
export class ResqueInitializer extends Initializer {
  constructor() {
    super();
    this.name = "resque";
    this.loadPriority = 600;
    this.startPriority = 950;
    this.stopPriority = 100;
  }

  override initialize(): Promise<void> {
    api.resque = createResqueApi();
    return Promise.resolve();
  }

  override async start() {
    await startWorking();
  }

  override async stop() {
    await stopWorking();
  }
}
