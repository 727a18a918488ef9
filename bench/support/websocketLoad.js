/**
 * Websocket clients as raw sockets, in a process of their own. Told by IPC:
 * {port, path, request, connections, inFlight, ms}: each connection keeps so many requests on their way, each in a
 * write of its own; answers {messages, ms}.
 * {port, path, idle}: so many connections that only stay; answers {open}. {close: true}: they go; answers {closed}.
 */
const net = require("node:net");

/** See httpLoad.js: never asleep, but looking for answers only so often. */
const POLL_MS = 0.1;
const CONNECTING_AT_ONCE = 100;
const NOTHING = Buffer.alloc(0);

const idle = [];
const pools = new Map();

process.on("message", async (told) => {
  try {
    process.send(await answer(told));
  } catch (error) {
    process.send({ error: String(error) });
  }
});
process.on("disconnect", () => process.exit(0));

async function answer(told) {
  if (told.close) {
    for (const socket of idle) socket.destroy();
    return { closed: idle.splice(0).length };
  }
  if (told.idle) {
    while (idle.length < told.idle) {
      idle.push(...(await connectAll(told, CONNECTING_AT_ONCE)));
    }
    return { open: idle.length };
  }
  return run(told);
}

/** The connections to a server stay for all its slices: what is measured are the messages. */
async function run(told) {
  const { port, connections, inFlight, ms } = told;
  if (!pools.has(port)) pools.set(port, await connectAll(told, connections));
  const sockets = pools.get(port);
  const frame = frameOf(told.request);
  const state = { messages: 0, until: 0 };
  const started = performance.now();
  state.until = started + ms;
  spin(state);
  await Promise.all(
    sockets.map((socket) => work(socket, frame, inFlight, state)),
  );
  const took = performance.now() - started;
  return { messages: state.messages, ms: took };
}

function connectAll(told, count) {
  return Promise.all(Array.from({ length: count }, () => connect(told)));
}

function spin(state) {
  const now = performance.now();
  while (performance.now() - now < POLL_MS);
  if (now < state.until) setImmediate(spin, state);
}

/** Resolves when the handshake is done; the caller reads what the server sends first. */
function connect({ port, path }) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.setNoDelay(true);
    socket.once("error", reject);
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    socket.once("data", (chunk) => {
      const end = chunk.indexOf("\r\n\r\n");
      if (!chunk.includes(" 101 ")) return reject(new Error(String(chunk)));
      socket.welcome = chunk.subarray(end + 4);
      resolve(socket);
    });
  });
}

/** Masked with zeros, so that it can be made once. */
function frameOf(text) {
  const data = Buffer.from(text);
  if (data.length > 125) throw new Error("too long for a short frame");
  return Buffer.concat([
    Buffer.from([0x81, 0x80 | data.length, 0, 0, 0, 0]),
    data,
  ]);
}

function work(socket, frame, inFlight, state) {
  return new Promise((resolve, reject) => {
    let rest = socket.welcome;
    socket.welcome = NOTHING;
    let pending = 0;
    const finish = () => {
      socket.off("data", receive);
      socket.off("error", reject);
      resolve();
    };
    const send = () => {
      pending++;
      socket.write(frame);
    };
    const receive = (chunk) => {
      rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
      let at = 0;
      while (rest.length - at >= 2) {
        const short = rest[at + 1];
        const head = short === 126 ? 4 : 2;
        if (rest.length - at < head) break;
        const length = short === 126 ? rest.readUInt16BE(at + 2) : short;
        if (rest.length - at < head + length) break;
        // answers carry the id of the request; the welcome and pings do not
        if (rest.includes('"messageId":1', at + head)) {
          pending--;
          state.messages++;
          if (performance.now() < state.until) send();
          else if (pending === 0) finish();
        }
        at += head + length;
      }
      rest = rest.subarray(at);
    };
    socket.on("data", receive);
    socket.once("error", reject);
    for (let i = 0; i < inFlight; i++) send();
  });
}
