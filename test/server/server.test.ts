import { types } from "node:util";
import { addAction, resetMiddleware, useApp } from "../support/app";
import {
  api,
  config,
  loggers,
  rebuildConfig,
  Server,
  type Connection,
} from "../../src/index";
import { until } from "../support/until";

useApp();

/** A transport in memory, as a project or a plugin would write one. */
class MemoryServer extends Server {
  sent: any[] = [];
  files: any[] = [];
  logged: any[][] = [];

  constructor(attributes: object = {}) {
    super();
    this.type = "memory";
    this.config = { enabled: true };
    this.attributes = { canChat: false, ...attributes };
    this.connectionCustomMethods = {
      shout: async (connection: Connection, text: string) =>
        `${connection.id}: ${text.toUpperCase()}`,
    };
  }
  async initialize() {}
  async start() {}
  async stop() {}
  async sendMessage(_connection: Connection, message: any) {
    this.sent.push(message);
  }
  async sendFile(...args: any[]) {
    this.files.push(args);
  }
  override goodbye() {}
  override log(...args: any[]) {
    this.logged.push(args);
  }

  open(id = "m1") {
    return this.buildConnection({
      id,
      rawConnection: {},
      remoteAddress: "::ffff:10.0.0.1",
      remotePort: 1,
    });
  }
}

let server: MemoryServer;

function make(attributes?: object): MemoryServer {
  server = new MemoryServer(attributes);
  api.servers.servers.memory = server;
  return server;
}

beforeEach(() => void make());

afterEach(async () => {
  resetMiddleware();
  for (const connection of server.connections()) await connection.destroy();
  delete api.servers.servers.memory;
  rebuildConfig();
});

describe("validate", () => {
  test("a complete server is valid", () => {
    expect(() => server.validate()).not.toThrow();
  });

  test("a server without a type is invalid", () => {
    server.type = "";
    expect(() => server.validate()).toThrow("type is required for this server");
  });

  test.each(["start", "stop", "sendFile", "sendMessage", "goodbye"])(
    "%s is demanded",
    (method) => {
      (server as any)[method] = undefined;
      expect(() => server.validate()).toThrow(
        `${method} is a required method for the server \`memory\``,
      );
    },
  );
});

describe("buildConnection", () => {
  test("makes, announces and gives back the connection", async () => {
    const events: unknown[] = [];
    server.on("connection", (connection) => events.push(connection));
    const connection = await server.open();
    expect(connection).toMatchObject({
      id: "m1",
      fingerprint: "m1",
      type: "memory",
      remoteIP: "10.0.0.1",
      remotePort: 1,
      canChat: false,
    });
    expect(events).toEqual([connection]);
    expect(server.connections()).toEqual([connection]);
    expect(server.logged).toEqual([]);
    expect(server.sent).toEqual([]);
  });

  test("a connection is announced after its create middleware", async () => {
    const order: string[] = [];
    api.connections.addMiddleware({
      name: "slow",
      create: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        order.push("create");
      },
    });
    server.on("connection", () => order.push("event"));
    await server.open();
    expect(order).toEqual(["create", "event"]);
  });

  test("create middleware that throws prevents the event and the connection", async () => {
    api.connections.addMiddleware({
      name: "no",
      create: async () => {
        throw new Error("no entry");
      },
    });
    const events: unknown[] = [];
    server.on("connection", (connection) => events.push(connection));
    await expect(server.open()).rejects.toThrow("no entry");
    expect(events).toEqual([]);
    expect(server.connections()).toEqual([]);
  });

  test("attributes decide on logging and welcome; the defaults of the base class do not", async () => {
    expect(server).toMatchObject({
      canChat: true,
      logConnections: true,
      logExits: true,
      sendWelcomeMessage: true,
    });
    await (await server.open()).destroy();
    expect([server.logged, server.sent]).toEqual([[], []]);

    make({ logConnections: true, sendWelcomeMessage: true });
    await server.open();
    expect(server.logged).toEqual([
      ["new connection", "info", { to: "10.0.0.1" }],
    ]);
    expect(server.sent).toEqual([
      { welcome: config.general.welcomeMessage, context: "api" },
    ]);
  });

  const flags = { canChat: true, logConnections: true, logExits: true };

  test.each([
    ["in a constructor", () => Object.assign(server, flags)],
    [
      "in a field",
      () => {
        class Flagged extends MemoryServer {
          override canChat = true;
          override logConnections = true;
          override logExits = true;
        }
        server = api.servers.servers.memory = new Flagged();
      },
    ],
    [
      "in a getter",
      () => {
        class Flagged extends MemoryServer {}
        for (const name of Object.keys(flags))
          Object.defineProperty(Flagged.prototype, name, { get: () => true });
        server = api.servers.servers.memory = new Flagged();
      },
    ],
  ])("flags that a server sets %s count", async (_where, set) => {
    set();
    delete server.attributes.canChat;
    const connection = await server.open();
    expect(connection.canChat).toBe(true);
    await connection.destroy();
    expect(server.logged.map(([message]) => message)).toEqual([
      "new connection",
      "connection closed",
    ]);
  });

  test("attributes go before the flags of a server", async () => {
    make({ logConnections: false, logExits: false });
    Object.assign(server, flags);
    const connection = await server.open();
    expect(connection.canChat).toBe(false);
    await connection.destroy();
    expect(server.logged).toEqual([]);
  });

  test("sendWelcomeMessage of a server may be ms", async () => {
    server.sendWelcomeMessage = 10;
    await server.open();
    expect(server.sent).toEqual([]);
    await until(() => server.sent.length > 0);
  });

  test("a delayed welcome is not sent to a disconnected client", async () => {
    make({ sendWelcomeMessage: 10 });
    const gone = await server.open("gone");
    await server.open("stays");
    await gone.destroy();
    expect(server.sent).toEqual([]);
    await until(() => server.sent.length > 0);
    expect(server.sent).toHaveLength(1);
  });

  test.each([
    ["throws", () => Promise.reject(new Error("broken pipe"))],
    [
      "throws at once",
      () => {
        throw new Error("broken pipe");
      },
    ],
  ])("a welcome whose sending %s is logged", async (_how, sendMessage) => {
    make({ sendWelcomeMessage: true });
    server.sendMessage = sendMessage as never;
    await server.open();
    expect(server.logged).toEqual([
      ["cannot send welcome message: Error: broken pipe", "error"],
    ]);
  });

  test("a server that sends without a promise may do so", async () => {
    make({ sendWelcomeMessage: true });
    server.sendMessage = ((_: Connection, m: unknown) => {
      server.sent.push(m);
    }) as never;
    const connection = await server.open();
    await connection.sendMessage("direct");
    expect(server.sent).toHaveLength(2);
  });
});

describe("the methods of connections", () => {
  test("send through the server, and wait for it", async () => {
    const connection = await server.open();
    await connection.sendMessage({ a: 1 });
    expect(server.sent).toEqual([{ a: 1 }]);
    server.sendMessage = async () => {
      throw new Error("broken pipe");
    };
    await expect(connection.sendMessage({})).rejects.toThrow("broken pipe");
  });

  test("sendFile names the file and hands it to the server", async () => {
    const connection = await server.open();
    await connection.sendFile("simple.html");
    expect(connection.params.file).toBe("simple.html");
    const [who, error, stream, mime, length, modified] = server.files[0];
    expect(who).toBe(connection);
    expect(error).toBeUndefined();
    expect(mime).toBe("text/html");
    expect(length).toBeGreaterThan(0);
    expect(types.isDate(modified)).toBe(true);
    stream.destroy();

    await connection.sendFile("nothing.html");
    expect(server.files[1].slice(1, 5)).toEqual([
      "that file is not found",
      undefined,
      "text/html",
      22,
    ]);
  });

  test("custom methods get the connection first", async () => {
    const connection: any = await server.open();
    expect(await connection.shout("hello")).toBe("m1: HELLO");
    expect(Object.keys(connection)).not.toContain("shout");
  });

  test("custom methods may be added and replaced later", async () => {
    server.connectionCustomMethods.whisper = (_, text: string) => `(${text})`;
    const connection: any = await server.open();
    expect(await connection.whisper("x")).toBe("(x)");
    server.connectionCustomMethods = { only: () => "this" };
    const other: any = await server.open("m2");
    expect(await other.only()).toBe("this");
    expect(other.shout).toBeUndefined();
  });

  test("keep their connection when they are handed around alone", async () => {
    const one: any = await server.open("one");
    const two: any = await server.open("two");
    const { shout, sendMessage } = one;
    expect(await shout("a")).toBe("one: A");
    expect(await two.shout("a")).toBe("two: A");
    await Promise.resolve("alone").then(sendMessage);
    expect(server.sent).toEqual(["alone"]);
  });

  test("can be replaced and spied on for one connection", async () => {
    const one = await server.open("one");
    const two = await server.open("two");
    one.sendMessage = async () => undefined;
    const spy = jest.spyOn(two, "sendMessage").mockResolvedValue(undefined);
    await one.sendMessage("x");
    await two.sendMessage("y");
    expect(server.sent).toEqual([]);
    expect(spy).toHaveBeenCalledWith("y");
    spy.mockRestore();
    await two.sendMessage("z");
    expect(server.sent).toEqual(["z"]);
  });
});

describe("processAction", () => {
  test("runs the action and emits its end", async () => {
    addAction("memory", { run: async () => ({ ok: 1 }) });
    const ended: any[] = [];
    server.on("actionComplete", (data) => ended.push(data));
    const connection = await server.open();
    connection.params.action = "memory";
    const data = await server.processAction(connection);
    expect(ended).toEqual([data]);
    expect(data.response).toEqual({ ok: 1 });
  });

  test("while the server drains: running actions continue, new ones are refused", async () => {
    let release!: () => void;
    addAction("held", {
      run: () =>
        new Promise<object>((resolve) => {
          release = () => resolve({ ok: 1 });
        }),
    });
    const connection = await server.open();
    connection.params.action = "held";
    const running = server.processAction(connection);
    await until(() => release);
    server.isDraining = true;
    const late = await server.processAction(connection);
    expect(late.response.error.message).toBe("the server is shutting down");
    release();
    expect((await running).response).toEqual({ ok: 1 });
  });
});

test("log puts the type before the message", () => {
  const [logger] = loggers;
  const spy = jest.spyOn(logger, "log").mockReturnValue(logger);
  jest.spyOn(logger, "isLevelEnabled").mockReturnValue(true);
  try {
    api.servers.servers.web.log("hello", "notice");
    expect(spy).toHaveBeenCalledWith("notice", "[server: web] hello");
  } finally {
    jest.restoreAllMocks();
  }
});
