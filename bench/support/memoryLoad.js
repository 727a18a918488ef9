/**
 * Keep-alive load on an HTTP server of the same process, over sockets in memory: no kernel takes part, so that the CPU
 * time is that of the server, of node and of a client that costs the same for every server.
 */
const { Duplex } = require("node:stream");

/** What a server asks of a socket. */
class MemorySocket extends Duplex {
  remoteAddress = "127.0.0.1";
  remotePort;
  remoteFamily = "IPv4";
  localAddress = "127.0.0.1";
  localPort = 80;
  encrypted = undefined;
  bytesRead = 0;
  bytesWritten = 0;
  timeout = 0;

  constructor(port, onBytes) {
    // text stays text, as on a socket of the kernel, which takes it without a copy
    super({ decodeStrings: false, allowHalfOpen: true, autoDestroy: true });
    delete this.encrypted; // its presence means TLS
    this.remotePort = port;
    this.onBytes = onBytes;
  }

  _read() {}

  _write(chunk, encoding, callback) {
    const bytes =
      typeof chunk === "string"
        ? Buffer.byteLength(chunk, encoding)
        : chunk.length;
    this.bytesWritten += bytes;
    callback();
    this.onBytes(bytes, chunk, encoding);
  }

  _writev(chunks, callback) {
    let bytes = 0;
    for (const { chunk, encoding } of chunks)
      bytes +=
        typeof chunk === "string"
          ? Buffer.byteLength(chunk, encoding)
          : chunk.length;
    this.bytesWritten += bytes;
    callback();
    const [first] = chunks;
    this.onBytes(bytes, first.chunk, first.encoding);
  }

  setTimeout() {
    return this;
  }

  setNoDelay() {
    return this;
  }

  setKeepAlive() {
    return this;
  }

  ref() {
    return this;
  }

  unref() {
    return this;
  }

  address() {
    return { address: this.localAddress, port: this.localPort };
  }

  destroySoon() {
    this.end(() => this.destroy());
  }
}

/** The number of bytes of a whole response, of which this is the first piece. */
function lengthOf(piece, encoding) {
  const text = typeof piece === "string" ? piece : piece.latin1Slice();
  const end = text.indexOf("\r\n\r\n");
  const match = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end));
  if (end === -1 || !match) throw new Error(`no length: ${text.slice(0, 200)}`);
  return end + 4 + Number(match[1]);
}

/**
 * The work of a server without clients of its own (see report.js): each connection sends the same request again in the
 * turn of the event loop after its response, as with a kernel that has polled. Connections stay for all slices.
 */
exports.inMemory = (server) => {
  const clients = [];
  return (ms, { request, connections }) => {
    while (clients.length < connections)
      clients.push(new Client(server, clients.length));
    return new Slice(clients.slice(0, connections), request).run(ms);
  };
};

class Client {
  missing = 0;
  slice = undefined;

  constructor(server, index) {
    this.socket = new MemorySocket(10_000 + index, (count, piece, encoding) =>
      this.receive(count, piece, encoding),
    );
    server.emit("connection", this.socket);
  }

  send(bytes) {
    this.socket.bytesRead += bytes.length;
    this.socket.push(bytes);
  }

  receive(count, piece, encoding) {
    if (this.missing === 0) this.missing = lengthOf(piece, encoding);
    this.missing -= count;
    if (this.missing < 0) throw new Error("more than one response");
    if (this.missing === 0) this.slice.answered(this);
  }
}

class Slice {
  messages = 0;

  constructor(clients, request) {
    this.clients = clients;
    this.bytes = Buffer.from(request, "latin1");
    for (const client of clients) client.slice = this;
  }

  async run(ms) {
    const until = performance.now() + ms;
    let ready = this.clients;
    while (performance.now() < until) {
      this.ready = [];
      for (const client of ready) client.send(this.bytes);
      while (this.ready.length < ready.length) await nextTurn();
      ready = this.ready;
    }
    return this.messages;
  }

  answered(client) {
    this.messages++;
    this.ready.push(client);
  }
}

function nextTurn() {
  return new Promise((resolve) => setImmediate(resolve));
}
