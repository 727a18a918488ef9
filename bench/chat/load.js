/**
 * Members and one sender, as raw sockets that only count frames. Told by IPC:
 * {open: name, ports, members}: connect and join, the members spread over the ports, the sender at the first;
 * {run: name, ms, inFlight}: talk, with so many messages on their way at a time. Answers {deliveries, ms}.
 */
const net = require("node:net");

const ROOM = "defaultRoom";
const SAY = {
  event: "say",
  messageId: 1,
  room: ROOM,
  message: "x".repeat(100),
};
const groups = new Map();

process.on("message", async ({ open, run, ...options }) => {
  try {
    if (open) groups.set(open, await openGroup(options));
    process.send(run ? await talk(groups.get(run), options) : { opened: open });
  } catch (error) {
    process.send({ error: String(error) });
  }
});
process.on("disconnect", () => process.exit(0));

async function openGroup({ ports, members }) {
  const clients = [];
  for (let i = 0; i < members; i++)
    clients.push(await join(ports[i % ports.length]));
  return { sender: await join(ports[0]), clients };
}

/** Resolves when the client is in the room: after the answer to its request. */
function join(port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1");
    const client = new Client(socket, (text) => {
      if (text.includes('"OK"')) resolve(client);
      else if (text.includes("error")) reject(new Error(text));
    });
    socket.setNoDelay(true);
    socket.on("error", reject);
    socket.write(
      "GET /primus HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    socket.once("data", (chunk) => {
      const end = chunk.indexOf("\r\n\r\n");
      if (!chunk.subarray(0, 12).includes("101"))
        return reject(new Error(chunk.toString()));
      socket.on("data", (data) => client.receive(data));
      client.receive(chunk.subarray(end + 4));
      client.send({ event: "roomAdd", messageId: 1, room: ROOM });
    });
  });
}

/** Counts the frames that come; shows their text to `onText` while there is one. */
class Client {
  frames = 0;
  onFrame = () => {};
  rest = Buffer.alloc(0);

  constructor(socket, onText) {
    this.socket = socket;
    this.onText = onText;
  }

  receive(chunk) {
    let data = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk;
    let at = 0;
    while (data.length - at >= 4) {
      let length = data[at + 1] & 127;
      let header = 2;
      if (length === 126) {
        length = data.readUInt16BE(at + 2);
        header = 4;
      }
      if (data.length - at < header + length) break;
      if (this.onText)
        this.onText(data.toString("utf8", at + header, at + header + length));
      this.frames++;
      this.onFrame();
      at += header + length;
    }
    this.rest = data.subarray(at);
  }

  send(message) {
    this.socket.write(maskedFrame(JSON.stringify(message)));
  }
}

/** Masked with zeros, which leaves the text as it is. */
function maskedFrame(text) {
  const body = Buffer.from(text);
  const head =
    body.length < 126
      ? [0x81, 0x80 | body.length]
      : [0x81, 0x80 | 126, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), body]);
}

function talk({ sender, clients }, { ms, inFlight }) {
  const say = maskedFrame(JSON.stringify(SAY));
  const started = performance.now();
  const until = started + ms;
  let sent = 0;
  let deliveries = 0;
  return new Promise((resolve) => {
    const onFrame = () => {
      deliveries++;
      if (deliveries % clients.length > 0) return;
      const isOver = performance.now() >= until;
      if (!isOver) {
        sent++;
        sender.socket.write(say);
      } else if (deliveries === sent * clients.length) {
        for (const client of clients) client.onFrame = () => {};
        resolve({ deliveries, ms: performance.now() - started });
      }
    };
    sender.onText = undefined;
    for (const client of clients) {
      client.onText = undefined;
      client.onFrame = onFrame;
    }
    for (; sent < inFlight; sent++) sender.socket.write(say);
  });
}
