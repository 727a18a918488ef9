/** Starts the project of bench/http/project.js; what counts is its socket server. */
const { report } = require("../support/report");
const { createRequire } = require("node:module");
const path = require("node:path");

const projectRequire = createRequire(path.join(process.cwd(), "package.json"));
const { Process, api } = projectRequire("actionhero");

new Process().start().then(() => {
  report(api.servers.servers.socket.server.address().port);
});
