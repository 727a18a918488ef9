/** Runs a server script under a parent: tells its port, and its CPU time when asked. */
exports.report = function report(port) {
  process.on("message", (message) => {
    if (message === "cpu") {
      const { user, system } = process.cpuUsage();
      process.send({ cpu: user + system });
    }
  });
  process.on("disconnect", () => process.exit(0));
  process.send({ port });
};
