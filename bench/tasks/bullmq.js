const { Queue, Worker } = require("bullmq");

exports.create = async function create({ port, db }) {
  const connection = {
    host: "127.0.0.1",
    port,
    db,
    maxRetriesPerRequest: null,
  };
  const defaultJobOptions = { removeOnComplete: true, removeOnFail: true };
  const queue = new Queue("bench", { connection, defaultJobOptions });
  await queue.waitUntilReady();
  let worker;
  return {
    enqueue: (data) => queue.add("job", data),
    enqueueMany: (list) =>
      queue.addBulk(list.map((data) => ({ name: "job", data }))),
    enqueueIn: (delay, data) => queue.add("job", data, { delay }),
    async start(concurrency, listener) {
      worker = new Worker("bench", async (job) => listener(job.data), {
        connection,
        concurrency,
      });
      worker.on("error", () => undefined);
      await worker.waitUntilReady();
    },
    stop: () => worker.close(),
    startScheduler: async () => undefined,
    stopScheduler: async () => undefined,
    close: () => queue.close(),
  };
};
