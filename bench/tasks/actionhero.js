/** The whole framework, whichever actionhero the project in the working directory has. */
const { createRequire } = require("node:module");
const path = require("node:path");

exports.create = async function create() {
  const projectRequire = createRequire(
    path.join(process.cwd(), "package.json"),
  );
  const { Process, Task, api, config, task } = projectRequire("actionhero");
  let onJob;
  class Job extends Task {
    constructor() {
      super();
      this.name = "job";
      this.description = "a job";
      this.queue = "bench";
    }
    async run(data) {
      return onJob(data);
    }
  }
  await new Process().start();
  api.tasks.tasks.job = new Job();
  api.tasks.jobs.job = api.tasks.jobWrapper("job");
  return {
    enqueue: (data) => task.enqueue("job", data),
    enqueueMany: task.enqueueMany && ((list) => task.enqueueMany("job", list)),
    enqueueIn: (ms, data) => task.enqueueIn(ms, "job", data),
    async start(concurrency, listener) {
      onJob = listener;
      config.tasks.minTaskProcessors = concurrency;
      config.tasks.maxTaskProcessors = concurrency;
      await api.resque.startMultiWorker();
      while (api.resque.multiWorker.workers.length < concurrency)
        await new Promise((resolve) => setTimeout(resolve, 10));
    },
    stop: () => api.resque.stopMultiWorker(),
    async startScheduler() {
      config.tasks.scheduler = true;
      await api.resque.startScheduler();
    },
    stopScheduler: () => api.resque.stopScheduler(),
    close: () => process.exit(0),
  };
};
