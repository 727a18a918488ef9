/** Starts the project of bench/http/project.js with whichever actionhero its node_modules hold. */
const { inMemory } = require("../support/memoryLoad");
const { report } = require("../support/report");
const { createRequire } = require("node:module");
const path = require("node:path");

const projectRequire = createRequire(path.join(process.cwd(), "package.json"));
const { Process, api } = projectRequire("actionhero");

new Process().start().then(() => {
  const { server } = api.servers.servers.web;
  report(server.address().port, inMemory(server));
});
