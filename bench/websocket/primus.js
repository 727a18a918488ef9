/** What actionhero 29 builds on: Primus with ws. */
const http = require("node:http");
const Primus = require("primus");
const { report } = require("../support/report");

const server = http.createServer();
new Primus(server, { transformer: "websockets" }).on("connection", (spark) => {
  spark.on("data", ({ params, messageId }) => {
    const max = Number(params.max);
    spark.write({ max, half: max / 2, context: "response", messageId });
  });
});
server.listen(0, "127.0.0.1", () => report(server.address().port));
