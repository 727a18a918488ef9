/** The queue of this project, without the framework around it. */
const path = require("node:path");

const root = process.env.BENCH_ACTIONHERO ?? path.join(__dirname, "../..");
const { Queue } = require(path.join(root, "dist/src/resque/queue.js"));
const { MultiWorker } = require(
  path.join(root, "dist/src/resque/multiWorker.js"),
);
const { Scheduler } = require(path.join(root, "dist/src/resque/scheduler.js"));

exports.create = async function create({ port, db }) {
  const connection = process.env.BENCH_EMBEDDED
    ? { redis: new (require("ioredis-mock"))() }
    : { host: "127.0.0.1", port, database: db };
  let onJob;
  const jobs = { job: { perform: (data) => onJob(data) } };
  const queue = new Queue({ connection }, jobs);
  await queue.connect();
  let multiWorker;
  let scheduler;
  return {
    enqueue: (data) => queue.enqueue("bench", "job", [data]),
    enqueueTo: (name, data) => queue.enqueue(name, "job", [data]),
    enqueueMany: (list) =>
      queue.enqueueMany(
        "bench",
        "job",
        list.map((data) => [data]),
      ),
    enqueueIn: (ms, data) => queue.enqueueIn(ms, "bench", "job", [data]),
    async start(concurrency, listener, queues = ["bench"]) {
      onJob = listener;
      multiWorker = new MultiWorker(
        {
          connection,
          queues,
          minTaskProcessors: concurrency,
          maxTaskProcessors: concurrency,
        },
        jobs,
      );
      await multiWorker.start();
    },
    stop: () => multiWorker.stop(),
    async startScheduler() {
      scheduler = new Scheduler({ connection });
      await scheduler.connect();
      await scheduler.start();
    },
    stopScheduler: () => scheduler.end(),
    close: () => queue.end(),
  };
};
