import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import {
  beginStop,
  createResqueApi,
  startWorking,
} from "../src/task/resqueApi";
import { Upkeep } from "../src/task/upkeep";

/** Runs jobs: the workers and the scheduler of this process. `tasks` waits for their end. */
export class ResqueInitializer extends Initializer {
  private readonly upkeep = new Upkeep();

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
    await this.upkeep.start();
  }

  override async stop() {
    await this.upkeep.stop();
    beginStop();
  }
}
