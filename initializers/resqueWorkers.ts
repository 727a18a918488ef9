import { Initializer } from "../src/boot/initializer";
import { startRecurrentTasks, RecurringTaskCheck } from "../src/task/recurrent";
import { beginWork } from "../src/task/resqueApi";

/** Lets the workers of `resque` run, when everything else has started: jobs may use whatever a project sets up. */
export class ResqueWorkersInitializer extends Initializer {
  private readonly check = new RecurringTaskCheck();

  constructor() {
    super();
    this.name = "resqueWorkers";
    this.loadPriority = 601;
    this.startPriority = Number.MAX_SAFE_INTEGER;
    this.stopPriority = 99; // before the workers stop
  }

  override async start() {
    await beginWork();
    await startRecurrentTasks();
    await this.check.start();
  }

  override async stop() {
    await this.check.stop();
  }
}
