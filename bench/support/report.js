/**
 * Runs a server script under a parent: sends its port, and its CPU time, memory and profile on request.
 * @param work for a script without clients: works for the given ms and returns how many times; its second argument has
 * the other fields of the order
 */
const { startProfile, stopProfile } = require("./profile");

exports.report = function report(port, work) {
  process.on("message", (message) => {
    if (message === "cpu") {
      const { user, system } = process.cpuUsage();
      process.send({ cpu: user + system });
    }
    if (message === "memory") {
      globalThis.gc?.();
      const { rss, heapUsed } = process.memoryUsage();
      process.send({ rss, heapUsed });
    }
  });
  process.on("message", async ({ profile, roots, ms, ...order }) => {
    if (profile === "start") process.send({ started: await startProfile() });
    if (profile === "stop") process.send(await stopProfile(roots));
    if (ms !== undefined) {
      const started = performance.now();
      const messages = await work(ms, order);
      process.send({ messages, ms: performance.now() - started });
    }
  });
  process.on("disconnect", () => process.exit(0));
  process.send({ port });
};
