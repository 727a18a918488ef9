const { MultiWorker, Queue, Scheduler } = require("node-resque");

exports.create = async function create({ port, db }) {
  const connection = { pkg: "ioredis", host: "127.0.0.1", port, database: db };
  let onJob;
  const jobs = { job: { perform: async (data) => onJob(data) } };
  const queue = new Queue({ connection }, jobs);
  queue.on("error", console.error);
  await queue.connect();
  let multiWorker;
  let scheduler;
  return {
    enqueue: (data) => queue.enqueue("bench", "job", [data]),
    enqueueIn: (ms, data) => queue.enqueueIn(ms, "bench", "job", [data]),
    async start(concurrency, listener) {
      onJob = listener;
      multiWorker = new MultiWorker(
        {
          connection,
          queues: ["bench"],
          minTaskProcessors: concurrency,
          maxTaskProcessors: concurrency,
          checkTimeout: 20,
          maxEventLoopDelay: 10_000,
        },
        jobs,
      );
      multiWorker.on("error", console.error);
      multiWorker.start();
      while (multiWorker.workers.length < concurrency)
        await new Promise((resolve) => setTimeout(resolve, 10));
    },
    stop: () => multiWorker.end(),
    async startScheduler() {
      scheduler = new Scheduler({ connection });
      scheduler.on("error", console.error);
      await scheduler.connect();
      await scheduler.start();
    },
    stopScheduler: () => scheduler.end(),
    close: () => queue.end(),
  };
};
