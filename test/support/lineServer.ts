/** A transport over real TCP, one JSON line per message, that takes part in the delivery of chat. */
import { once } from "node:events";
import * as net from "node:net";
import * as readline from "node:readline";
import {
  api,
  connectionVerbs,
  encodeOnce,
  Server,
  type ChatTransport,
  type Connection,
} from "../../src/index";

export class LineServer extends Server implements ChatTransport {
  /** How many messages were encoded. */
  encodings = 0;
  private readonly listener = net.createServer((socket) => {
    socket.on("error", () => socket.destroy());
    void this.accept(socket);
  });

  constructor(type = "lines") {
    super();
    this.type = type;
    this.attributes = {
      canChat: true,
      logConnections: false,
      logExits: false,
      sendWelcomeMessage: true,
      verbs: connectionVerbs,
    };
  }

  async initialize() {}
  async sendFile() {}

  async start() {
    this.listener.listen(0, "127.0.0.1");
    await once(this.listener, "listening");
    api.servers.servers[this.type] = this;
  }

  async stop() {
    this.listener.close();
    await Promise.all(this.connections().map((one) => one.destroy()));
    if (this.listener.listening) await once(this.listener, "close");
  }

  async sendMessage(connection: Connection, message: any) {
    socketOf(connection).write(encodeOnce(message, this.type, this.encode));
  }

  override goodbye(connection: Connection) {
    socketOf(connection).destroy();
  }

  bufferedBytes(connection: Connection): number {
    return socketOf(connection).writableLength;
  }

  private readonly encode = (message: object): Buffer => {
    this.encodings++;
    return Buffer.from(`${JSON.stringify(message)}\n`);
  };

  private async accept(socket: net.Socket): Promise<void> {
    const connection = await this.buildConnection({
      rawConnection: socket,
      remoteAddress: socket.remoteAddress!,
      remotePort: socket.remotePort!,
    });
    socket.once("close", () => void connection.destroy());
  }

  /** A client; resolves when it is a member of the room. */
  async connect(room: string): Promise<LineClient> {
    const { port } = this.listener.address() as net.AddressInfo;
    const client = new LineClient(net.connect(port, "127.0.0.1"));
    await client.welcomed;
    client.connection = this.connections().find(
      ({ remotePort }) => remotePort === client.socket.localPort,
    )!;
    await client.connection.verbs("roomAdd", room);
    return client;
  }
}

export class LineClient {
  connection!: Connection;
  readonly said: any[] = [];
  readonly welcomed: Promise<unknown>;
  private readonly reader: readline.Interface;
  private wake = () => {};

  constructor(readonly socket: net.Socket) {
    socket.on("error", () => undefined);
    this.reader = readline.createInterface({ input: socket });
    this.welcomed = once(this.reader, "line").then(() => {
      this.reader.on("line", (line) => {
        this.said.push(JSON.parse(line).message);
        this.wake();
      });
    });
  }

  /** Wait until this many messages came. */
  async received(count: number): Promise<any[]> {
    while (this.said.length < count)
      await new Promise<void>((resolve) => (this.wake = resolve));
    return this.said;
  }

  /** Read no more. */
  pause(): void {
    this.reader.pause();
    this.socket.pause();
  }

  /** Resolves when the server has noticed. */
  async close(): Promise<void> {
    this.socket.destroy();
    while (Object.hasOwn(api.connections.connections, this.connection.id))
      await new Promise(setImmediate);
  }
}

function socketOf(connection: Connection): net.Socket {
  return connection.rawConnection as net.Socket;
}
