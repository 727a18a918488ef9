/** A transport without a wire: its clients are objects in this process that keep what they are sent. */
import { type Connection, api, connectionVerbs, Server } from "../../src/index";

export class MemoryServer extends Server {
  constructor(type = "memory") {
    super();
    this.type = type;
    this.attributes = {
      canChat: true,
      logConnections: false,
      logExits: false,
      sendWelcomeMessage: false,
      verbs: connectionVerbs,
    };
  }

  async initialize() {}
  async start() {}
  async stop() {}
  async sendFile() {}

  async sendMessage(connection: Connection, message: any) {
    const client = connection.rawConnection as MemoryClient;
    client.receive(message);
  }

  /** Put it beside the other servers of the running process. */
  install(): this {
    api.servers.servers[this.type] = this;
    return this;
  }

  async connect(id?: string): Promise<MemoryClient> {
    const client = new MemoryClient();
    client.connection = await this.buildConnection({
      id,
      rawConnection: client,
      remoteAddress: "0",
      remotePort: 0,
    });
    return client;
  }
}

export class MemoryClient {
  connection!: Connection;
  readonly messages: any[] = [];
  private waiters: (() => void)[] = [];

  get id(): string {
    return this.connection.id;
  }

  /** What was said in rooms. */
  get said(): any[] {
    return this.messages.map(({ message }) => message);
  }

  receive(message: any): void {
    this.messages.push(message);
    for (const wake of this.waiters.splice(0)) wake();
  }

  /** Wait until this many messages came. */
  async received(count: number): Promise<any[]> {
    while (this.messages.length < count)
      await new Promise<void>((resolve) => this.waiters.push(resolve));
    return this.messages;
  }

  verb(verb: string, ...words: string[]): Promise<any> {
    return this.connection.verbs(verb, words);
  }

  quit(): Promise<void> {
    return this.connection.destroy();
  }
}
