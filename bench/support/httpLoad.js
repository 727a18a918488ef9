/**
 * Keep-alive load from a process of its own: each connection sends the same request again as soon as it has its
 * answer. Told by IPC: {port, request, connections, ms, isKept}; answers {messages, ms}. With isKept, connections stay for
 * the next slice of the same server: otherwise a slow machine, which answers less in a slice, would show more of what
 * connecting costs.
 */
const net = require("node:net");
const { once } = require("node:events");

const POLL_MS = 0.1;

/** By port. */
const kept = new Map();

process.on("message", async ({ port, request, connections, ms, isKept }) => {
  const sockets = await connectAll(port, connections);
  const bytes = Buffer.from(request, "latin1");
  const started = performance.now();
  const state = { messages: 0, until: started + ms };
  spin(state);
  await Promise.all(sockets.map((socket) => work(socket, bytes, state)));
  process.send({
    messages: state.messages,
    ms: performance.now() - started,
  });
  if (isKept) kept.set(port, sockets);
  else for (const socket of sockets) socket.destroy();
});

async function connectAll(port, count) {
  const open = (kept.get(port) ?? []).filter((socket) => socket.writable);
  kept.delete(port);
  while (open.length < count) open.push(net.connect(port, "127.0.0.1"));
  for (const socket of open) {
    if (!socket.connecting) continue;
    socket.setNoDelay(true);
    await once(socket, "connect");
    socket.on("error", () => socket.destroy());
  }
  return open;
}

/**
 * Never sleep, but look for answers only so often. Waking a sleeping client is the server's work on a loopback device
 * (10 microseconds and more for each write), and so is getting past one that polls all the time; the slower a server
 * is, the more its client sleeps or polls: that would count against it twice.
 */
function spin(state) {
  const now = performance.now();
  while (performance.now() - now < POLL_MS);
  if (now < state.until) setImmediate(spin, state);
}

function work(socket, bytes, state) {
  return new Promise((resolve, reject) => {
    let missing = 0;
    let head = Buffer.alloc(0);
    const end = (error) => {
      socket.off("data", receive);
      socket.off("close", end);
      if (error === undefined) resolve();
      else reject(error instanceof Error ? error : new Error("closed"));
    };
    const next = () => {
      if (performance.now() >= state.until) end();
      else socket.write(bytes);
    };
    const receive = (chunk) => {
      if (missing > 0) {
        missing -= chunk.length;
      } else {
        head = head.length > 0 ? Buffer.concat([head, chunk]) : chunk;
        const headEnd = head.indexOf("\r\n\r\n");
        if (headEnd === -1) return;
        const text = head.latin1Slice(0, headEnd);
        const length = /\r\ncontent-length: (\d+)/i.exec(text);
        if (!length) return end(new Error(`no length: ${text}`));
        missing = Number(length[1]) - (head.length - headEnd - 4);
        head = Buffer.alloc(0);
      }
      if (missing <= 0) {
        missing = 0;
        state.messages++;
        next();
      }
    };
    socket.on("data", receive);
    socket.on("close", end);
    next();
  });
}
