/** This project, from dist, with its websocket server and nothing else on. */
const { report } = require("../support/report");
const { Process, api } = require("../../dist/src/index.js");

new Process().start().then(() => {
  report(api.servers.servers.web.server.address().port);
});
