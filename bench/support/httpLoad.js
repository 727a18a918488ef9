/**
 * Keep-alive load from a process of its own: each connection sends the same request again as soon as it has its
 * answer. Told by IPC: {port, request, connections, ms}; answers {messages, ms}.
 */
const net = require("node:net");

const POLL_MS = 0.1;

process.on("message", async ({ port, request, connections, ms }) => {
  const bytes = Buffer.from(request, "latin1");
  const started = performance.now();
  const state = { messages: 0, until: started + ms };
  spin(state);
  await Promise.all(
    Array.from({ length: connections }, () => work(port, bytes, state)),
  );
  process.send({
    messages: state.messages,
    ms: performance.now() - started,
  });
});

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

function work(port, bytes, state) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.setNoDelay(true);
    let missing = 0;
    let head = Buffer.alloc(0);
    const next = () => {
      if (performance.now() >= state.until) {
        socket.destroy();
        resolve();
      } else socket.write(bytes);
    };
    socket.once("connect", next);
    socket.once("error", reject);
    socket.on("data", (chunk) => {
      if (missing > 0) {
        missing -= chunk.length;
      } else {
        head = head.length > 0 ? Buffer.concat([head, chunk]) : chunk;
        const end = head.indexOf("\r\n\r\n");
        if (end === -1) return;
        const text = head.latin1Slice(0, end);
        const length = /\r\ncontent-length: (\d+)/i.exec(text);
        if (!length) return reject(new Error(`no length: ${text}`));
        missing = Number(length[1]) - (head.length - end - 4);
        head = Buffer.alloc(0);
      }
      if (missing <= 0) {
        missing = 0;
        state.messages++;
        next();
      }
    });
  });
}
