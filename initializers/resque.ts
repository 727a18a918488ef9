import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import {
  stopFetching,
  createResqueApi,
  prepareWork,
} from "../src/task/resqueApi";

/** The workers and the scheduler of this process. `resqueWorkers` lets them run, `tasks` waits for their end. */
export class ResqueInitializer extends Initializer {
  constructor() {
    super();
    this.name = "resque";
    this.loadPriority = 600;
    this.startPriority = 950;
    this.stopPriority = 100; // as servers: runs before it, because files are loaded in alphabetical order
  }

  override initialize(): Promise<void> {
    api.resque = createResqueApi();
    return Promise.resolve();
  }

  override async start() {
    await prepareWork();
  }

  override stop(): Promise<void> {
    stopFetching();
    return Promise.resolve();
  }
}
