/**
 * Clients that send lines, in a process of their own. Told by IPC:
 * {port, secure, request, connections, inFlight, ms}: each connection keeps so many requests on their way, as many in a
 * write as were answered together; answers {messages, ms}.
 * {port, secure, idle}: so many connections that only stay; answers {open}. {close: true}: they go; answers {closed}.
 */
const net = require("node:net");
const tls = require("node:tls");
const { once } = require("node:events");

/** See httpLoad.js: never asleep, but looking for answers only so often. */
const POLL_MS = 0.1;
const CONNECTING_AT_ONCE = 100;
const LINE_FEED = 0x0a;

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
      const batch = Array.from({ length: CONNECTING_AT_ONCE }, () =>
        connect(told),
      );
      idle.push(...(await Promise.all(batch)));
    }
    return { open: idle.length };
  }
  return run(told);
}

async function connect({ port, secure, greets }) {
  const where = { port, host: "127.0.0.1" };
  const socket = secure
    ? tls.connect({ ...where, rejectUnauthorized: false })
    : net.connect(where);
  socket.setNoDelay(true);
  await once(socket, secure ? "secureConnect" : "connect");
  socket.on("error", () => socket.destroy());
  if (greets) await once(socket, "data");
  return socket;
}

/** The connections to a server stay for all its slices: what is measured are the messages. */
async function run(told) {
  const { port, connections, inFlight, ms, request } = told;
  const sockets = pools.get(port) ?? [];
  pools.set(port, sockets);
  while (sockets.length < connections) sockets.push(await connect(told));
  const batches = Array.from({ length: inFlight + 1 }, (_, count) =>
    Buffer.from(`${request}\n`.repeat(count)),
  );
  const state = { messages: 0, until: 0 };
  const started = performance.now();
  state.until = started + ms;
  spin(state);
  await Promise.all(
    sockets.map((socket) => work(socket, batches, inFlight, state)),
  );
  const took = performance.now() - started;
  return { messages: state.messages, ms: took };
}

function spin(state) {
  const now = performance.now();
  while (performance.now() - now < POLL_MS);
  if (now < state.until) setImmediate(spin, state);
}

function work(socket, batches, inFlight, state) {
  return new Promise((resolve, reject) => {
    let pending = inFlight;
    const onClose = () => reject(new Error("the server closed"));
    const onData = (chunk) => {
      const lines = linesIn(chunk);
      if (lines === 0) return;
      state.messages += lines;
      pending -= lines;
      if (performance.now() < state.until) {
        pending += lines;
        socket.write(batches[lines]);
      } else if (pending === 0) {
        socket.off("data", onData);
        socket.off("close", onClose);
        resolve();
      }
    };
    socket.on("data", onData);
    socket.once("close", onClose);
    socket.write(batches[inFlight]);
  });
}

function linesIn(chunk) {
  let lines = 0;
  for (let at = chunk.indexOf(LINE_FEED); at !== -1; lines++)
    at = chunk.indexOf(LINE_FEED, at + 1);
  return lines;
}
