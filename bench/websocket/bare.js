/** The floor: ws, JSON in, the same answer out. */
const http = require("node:http");
const { WebSocketServer } = require("ws");
const { report } = require("../support/report");

const server = http.createServer();
new WebSocketServer({ server, clientTracking: false }).on(
  "connection",
  (ws) => {
    ws.on("message", (data) => {
      const { params, messageId } = JSON.parse(data);
      const max = Number(params.max);
      ws.send(
        JSON.stringify({ max, half: max / 2, context: "response", messageId }),
      );
    });
  },
);
server.listen(0, "127.0.0.1", () => report(server.address().port));
