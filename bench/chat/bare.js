/** The least that does the work: ws, one redis channel, one set of members. The text for the members is made once. */
const { report } = require("../support/report");
const { randomUUID } = require("node:crypto");
const { Redis } = require("ioredis");
const { WebSocketServer } = require("ws");

const CHANNEL = "bench";
const members = new Set();
const publisher = new Redis(process.env.REDIS_URL);
const subscriber = new Redis(process.env.REDIS_URL);

subscriber.on("message", (_channel, text) => {
  const { message, sentAt, connection } = JSON.parse(text);
  const { room, id: from } = connection;
  const payload = { message, room, from, context: "user", sentAt };
  const sent = JSON.stringify(payload);
  for (const ws of members) ws.send(sent);
});

const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
server.on("connection", (ws) => {
  const id = randomUUID();
  ws.on("close", () => members.delete(ws));
  ws.on("message", (text) => {
    const { event, room, message } = JSON.parse(text);
    if (event === "roomAdd") {
      members.add(ws);
      ws.send('{"status":"OK"}');
      return;
    }
    const connection = { id, room };
    const sentAt = Date.now();
    publisher.publish(CHANNEL, JSON.stringify({ message, sentAt, connection }));
  });
});

server.on("listening", async () => {
  await subscriber.subscribe(CHANNEL);
  report(server.address().port);
});
