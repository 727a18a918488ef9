import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import { finishJobs } from "../src/task/resqueApi";
import { createTasksApi } from "../src/task/registry";

/** Loads tasks; the queue is connected with them, so that commands can enqueue without a started server. */
export class TasksInitializer extends Initializer {
  constructor() {
    super();
    this.name = "tasks";
    this.loadPriority = 699;
    this.startPriority = 975;
    this.stopPriority = 101; // after the servers, which share the deadline with the workers
  }

  override async initialize() {
    api.tasks = createTasksApi();
    await api.tasks.loadTasks(false);
    await api.resque.startQueue();
  }

  /** Stop after the servers, whose last requests may enqueue. */
  override async stop() {
    await finishJobs();
  }
}
