/** Runs a server script under a parent: tells its port, and its CPU time, memory and profile when asked. */
const { startProfile, stopProfile } = require("./profile");

exports.report = function report(port) {
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
  process.on("message", async ({ profile, roots }) => {
    if (profile === "start") process.send({ started: await startProfile() });
    if (profile === "stop") process.send(await stopProfile(roots));
  });
  process.on("disconnect", () => process.exit(0));
  process.send({ port });
};
