/** No queue: a script without effect per job, whose arguments are as long as those of a report. What any queue on redis costs at least. */
const { Redis } = require("ioredis");

exports.create = async function create({ port, db }) {
  const redis = new Redis({ port, db });
  const sha = await redis.script("LOAD", "return ARGV[2]");
  const job = JSON.stringify({
    class: "job",
    queue: "bench",
    args: [{ n: 1, text: "x".repeat(48) }],
  });
  let isStopped;
  let ended;
  return {
    enqueue: () => redis.evalsha(sha, 1, "key", "1", job),
    async start(concurrency, listener) {
      isStopped = false;
      const lane = async () => {
        while (!isStopped)
          listener(JSON.parse(await redis.evalsha(sha, 1, "key", "1", job)));
      };
      ended = Promise.all(Array.from({ length: concurrency }, lane));
    },
    async stop() {
      isStopped = true;
      await ended;
    },
    startScheduler: async () => undefined,
    stopScheduler: async () => undefined,
    close: () => redis.quit(),
  };
};
