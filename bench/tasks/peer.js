/** One queue under measurement: does what its parent says, and tells how long it took and how much CPU it cost. */
const path = require("node:path");
const { Redis } = require("ioredis");

const [name, port, db] = process.argv.slice(2);
const redis = new Redis({ port: Number(port), db: Number(db) });
const payload = (n) => ({ n, text: "x".repeat(48) });

let peer;
let onJob = () => undefined;

/** CPU of this process and of redis, in us. */
async function cpu() {
  const info = await redis.info("cpu");
  const seconds = (key) => Number(new RegExp(`${key}:([\\d.]+)`).exec(info)[1]);
  const { user, system } = process.cpuUsage();
  return {
    own: user + system,
    redis: 1e6 * (seconds("used_cpu_user") + seconds("used_cpu_sys")),
    at: performance.now(),
  };
}

function since(before, after, count) {
  return {
    own: (after.own - before.own) / count,
    redis: (after.redis - before.redis) / count,
    perSecond: count / ((after.at - before.at) / 1000),
  };
}

async function inFlight(count, width, one) {
  let next = 0;
  const lane = async () => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
}

async function fill(count) {
  await inFlight(count, 100, (n) => peer.enqueue(payload(n)));
}

/** The first part of the jobs warms up. */
async function work(concurrency, count, queues) {
  const warmUp = Math.floor(count * 0.3);
  let done = 0;
  let before;
  const after = new Promise((resolve) => {
    onJob = () => {
      done++;
      if (done === warmUp) before = cpu();
      if (done === count) resolve(cpu());
    };
  });
  await peer.start(concurrency, () => onJob(), queues);
  const end = await after;
  const result = since(await before, end, count - warmUp);
  await peer.stop();
  return result;
}

const commands = {
  async enqueue({ how, count }) {
    await redis.flushdb();
    if (how === "batch" && !peer.enqueueMany) return null;
    const before = await cpu();
    if (how === "batch")
      for (let n = 0; n < count; n += 1000)
        await peer.enqueueMany(
          Array.from({ length: 1000 }, (_, i) => payload(n + i)),
        );
    else
      await inFlight(count, how === "one" ? 1 : 50, (n) =>
        peer.enqueue(payload(n)),
      );
    const result = since(before, await cpu(), count);
    await redis.flushdb();
    return result;
  },

  async work({ concurrency, count }) {
    await redis.flushdb();
    await fill(count);
    return work(concurrency, count);
  },

  /** Jobs in ten queues out of `known`, for workers on all queues. */
  async queues({ known, count }) {
    if (!peer.enqueueTo) return null;
    await redis.flushdb();
    const names = Array.from({ length: known }, (_, n) => `queue ${n}`);
    for (let first = 0; first < known; first += 1000)
      await redis.sadd("resque:queues", ...names.slice(first, first + 1000));
    await inFlight(count, 100, (n) =>
      peer.enqueueTo(names[n % 10], payload(n)),
    );
    return work(10, count, ["*"]);
  },

  /** From the call of enqueue to the start of the job, on an idle queue, in ms. */
  async idle({ count }) {
    await redis.flushdb();
    await peer.start(1, () => onJob());
    const waits = [];
    for (let n = 0; n < count + 2; n++) {
      await new Promise((resolve) => setTimeout(resolve, 20 + (n % 7) * 3));
      const begin = performance.now();
      const started = new Promise((resolve) => {
        onJob = () => resolve(performance.now() - begin);
      });
      await peer.enqueue(payload(n));
      const wait = await started;
      if (n >= 2) waits.push(wait);
    }
    await peer.stop();
    return waits;
  },

  /** How late delayed jobs start, in ms. */
  async late({ count, overMs }) {
    await redis.flushdb();
    await peer.startScheduler();
    const lateness = [];
    let resolveAll;
    const all = new Promise((resolve) => (resolveAll = resolve));
    await peer.start(10, (data) => {
      lateness.push(Date.now() - data.due);
      if (lateness.length === count) resolveAll();
    });
    for (let n = 0; n < count; n++) {
      const ms = 300 + Math.floor(Math.random() * overMs);
      await peer.enqueueIn(ms, { n, due: Date.now() + ms });
    }
    await all;
    await peer.stop();
    await peer.stopScheduler();
    return lateness;
  },

  async close() {
    redis.disconnect();
    await peer.close();
    process.exit(0);
  },
};

process.on("message", ({ command, ...options }) => {
  commands[command](options).then(
    (result) => process.send({ result }),
    (error) => process.send({ error: String(error?.stack ?? error) }),
  );
});
process.on("disconnect", () => process.exit(0));

require(path.join(__dirname, `${name}.js`))
  .create({ port: Number(port), db: Number(db) })
  .then((created) => {
    peer = created;
    process.send({ result: "ready" });
  });
