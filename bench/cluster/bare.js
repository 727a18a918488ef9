/** What several processes cost by themselves: node:cluster with so many workers, which answer as the action does. */
const cluster = require("node:cluster");
const http = require("node:http");

const [workers, port] = process.argv.slice(2).map(Number);
const seen = { requests: 0, sockets: new Set() };

function answerTo({ url, socket }) {
  if (url === "/api/counts") {
    const { requests, sockets } = seen;
    return { pid: process.pid, requests, connections: sockets.size };
  }
  seen.requests++;
  seen.sockets.add(socket);
  return { done: true };
}

if (cluster.isPrimary) {
  for (let i = 0; i < workers; i++) cluster.fork();
  process.on("SIGTERM", () => process.exit());
} else {
  const server = http.createServer((req, res) => {
    const body = JSON.stringify(answerTo(req));
    res.setHeader("Content-Type", "application/json");
    res.setHeader("Content-Length", Buffer.byteLength(body));
    res.end(body);
  });
  server.listen(port, "127.0.0.1");
  process.on("disconnect", () => process.exit());
}
