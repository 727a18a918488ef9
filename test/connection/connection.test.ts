import { makeConnection, resetMiddleware, useApp } from "../support/app";
import {
  action,
  api,
  config,
  Connection,
  loggers,
  rebuildConfig,
  specHelper,
  type ConnectionData,
} from "../../src/index";

useApp();

afterEach(() => {
  resetMiddleware();
  rebuildConfig();
  api.connections.connections = {};
  jest.restoreAllMocks();
});

const data: ConnectionData = {
  type: "unit",
  rawConnection: {},
  remoteIP: "10.0.0.1",
  remotePort: 80,
  canChat: false,
};

describe("construction", () => {
  test("an id that would change the table of connections is refused", () => {
    expect(() => new Connection({ ...data, id: "__proto__" })).toThrow(
      "__proto__ cannot be the id of a connection",
    );
    expect(Object.getPrototypeOf(api.connections.connections)).toBe(
      Object.prototype,
    );
    expect(new Connection({ ...data, id: "constructor" }).id).toBe(
      "constructor",
    );
  });

  test("the fields", () => {
    const before = Date.now();
    const connection = new Connection({ ...data, canChat: true });
    expect(connection).toMatchObject({
      type: "unit",
      rawConnection: data.rawConnection,
      remoteIP: "10.0.0.1",
      remotePort: 80,
      messageId: "0",
      error: null,
      rooms: [],
      params: {},
      session: {},
      pendingActions: 0,
      totalActions: 0,
      canChat: true,
      destroyed: false,
    });
    expect(connection.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(connection.fingerprint).toBe(connection.id);
    expect(connection.connectedAt).toBeGreaterThanOrEqual(before);
    expect(api.connections.connections[connection.id]).toBe(connection);
  });

  test("what is given is kept", () => {
    const given = { id: "i", fingerprint: "f", messageId: "m" };
    expect(new Connection({ ...data, ...given })).toMatchObject(given);
  });

  test.each(["type", "rawConnection", "remotePort", "remoteIP"])(
    "%s is demanded",
    (property) => {
      const incomplete = { ...data, [property]: undefined };
      expect(() => new Connection(incomplete)).toThrow(
        `${property} is required to create a new connection object`,
      );
      expect(Object.keys(api.connections.connections)).toEqual([]);
    },
  );

  test("0 is an address", () => {
    expect(() =>
      makeConnection({ remotePort: 0, remoteIP: 0 as never }),
    ).not.toThrow();
    expect(() => makeConnection({ remotePort: "0" })).not.toThrow();
  });

  test("enforceConnectionProperties = false: the address has defaults, the rest is as ever", () => {
    config.general.enforceConnectionProperties = false;
    const connection = new Connection({
      type: "unit",
      rawConnection: {},
    } as ConnectionData);
    expect(connection).toMatchObject({ remotePort: 0, remoteIP: "0" });
    expect(api.connections.connections[connection.id]).toBe(connection);
    expect(() => new Connection({} as ConnectionData)).toThrow(
      "type is required",
    );
  });

  test("two of a kind have the same shape", () => {
    const keys = (connection: Connection) => Object.keys(connection);
    expect(keys(makeConnection({ id: "a" }))).toEqual(keys(makeConnection()));
  });
});

describe("create middleware", () => {
  test("createAsync waits for all of it, in order of priority", async () => {
    const order: string[] = [];
    const add = (name: string, priority: number) =>
      api.connections.addMiddleware({
        name,
        priority,
        create: async () => {
          await new Promise((resolve) => setImmediate(resolve));
          order.push(name);
        },
      });
    add("late", 20);
    add("early", 10);
    api.connections.addMiddleware({ name: "nothing" });
    const connection = await Connection.createAsync(data);
    expect(order).toEqual(["early", "late"]);
    expect(connection).toBeInstanceOf(Connection);
  });

  test("the constructor does not wait, and may leave it out", () => {
    const seen: Connection[] = [];
    api.connections.addMiddleware({
      name: "see",
      create: (connection) => void seen.push(connection),
    });
    const connection = new Connection(data);
    expect(seen).toEqual([connection]);
    new Connection(data, false);
    expect(seen).toHaveLength(1);
  });

  test("what it throws is createAsync's error, and a log line of the constructor", async () => {
    api.connections.addMiddleware({
      name: "no",
      create: async () => {
        throw new Error("no entry");
      },
    });
    await expect(Connection.createAsync(data)).rejects.toThrow("no entry");
    expect(Object.keys(api.connections.connections)).toEqual([]);

    const logged = new Promise<string>((resolve) => {
      jest.spyOn(loggers[0], "isLevelEnabled").mockReturnValue(true);
      jest.spyOn(loggers[0], "log").mockImplementation((...args: any[]) => {
        resolve(args[1]);
        return loggers[0];
      });
    });
    new Connection(data);
    expect(await logged).toBe("error in create middleware of a connection");
  });
});

test("without a server nothing can be sent", async () => {
  const connection = makeConnection();
  await expect(connection.sendMessage("m")).rejects.toThrow("not implemented");
  await expect(connection.sendFile("f")).rejects.toThrow("not implemented");
});

test("set assigns a property, but no prototype", async () => {
  const connection = makeConnection();
  await connection.set("auth", { user: 1 });
  expect(connection).toHaveProperty("auth", { user: 1 });
  await connection.set("__proto__", { polluted: true });
  expect(connection).not.toHaveProperty("polluted");
  expect(connection).toBeInstanceOf(Connection);
});

describe("destroy", () => {
  test("runs middleware in order, then forgets the connection", async () => {
    const order: string[] = [];
    api.connections.addMiddleware({
      name: "second",
      priority: 2,
      destroy: () => void order.push("second"),
    });
    api.connections.addMiddleware({
      name: "first",
      priority: 1,
      destroy: async (connection) => {
        order.push(`first ${connection.destroyed}`); // before any await: at once
        await new Promise((resolve) => setImmediate(resolve));
        order.push("first done");
      },
    });
    const connection = makeConnection();
    const destroying = connection.destroy();
    expect(order).toEqual(["first true"]);
    expect(connection.destroyed).toBe(true);
    await destroying;
    expect(order).toEqual(["first true", "first done", "second"]);
    expect(Object.keys(api.connections.connections)).toEqual([]);
  });

  test("a second call does nothing, and ends with the first", async () => {
    let release!: () => void;
    const runs: string[] = [];
    api.connections.addMiddleware({
      name: "slow",
      destroy: async () => {
        runs.push("begin");
        await new Promise<void>((resolve) => (release = resolve));
        runs.push("end");
      },
    });
    const connection = makeConnection();
    const both = [connection.destroy(), connection.destroy()];
    release();
    await both[1];
    expect(runs).toEqual(["begin", "end"]);
    await Promise.all(both);
    await connection.destroy();
    expect(runs).toHaveLength(2);
  });

  test("middleware that throws is logged; the rest happens", async () => {
    const ran: string[] = [];
    api.connections.addMiddleware({
      name: "bad",
      priority: 1,
      destroy: () => {
        throw new Error("bad");
      },
    });
    api.connections.addMiddleware({
      name: "good",
      priority: 2,
      destroy: () => void ran.push("good"),
    });
    await makeConnection().destroy();
    expect(ran).toEqual(["good"]);
    expect(Object.keys(api.connections.connections)).toEqual([]);
  });

  test("its server logs the exit and says goodbye; a goodbye that fails harms nobody", async () => {
    const connection = await specHelper.buildConnection();
    const server = api.servers.servers.testServer;
    const logged: unknown[][] = [];
    const goodbyes: unknown[] = [];
    jest.spyOn(server, "log").mockImplementation((...args) => {
      logged.push(args);
    });
    jest.spyOn(server, "goodbye" as never).mockImplementation(((c: unknown) => {
      goodbyes.push(c);
      return Promise.reject(new Error("cannot part"));
    }) as never);
    server.attributes.logExits = true;
    try {
      await connection.destroy();
    } finally {
      server.attributes.logExits = false;
    }
    expect(logged).toEqual([
      ["connection closed", "info", { to: "testServer" }],
    ]);
    expect(goodbyes).toEqual([connection]);
    expect(api.connections.connections[connection.id]).toBeUndefined();

    jest.spyOn(server, "goodbye" as never).mockImplementation(() => {
      throw new Error("cannot part");
    });
    const other = await specHelper.buildConnection();
    await other.destroy();
    expect(api.connections.connections[other.id]).toBeUndefined();
  });

  test("it leaves its rooms, even if one does not let it go", async () => {
    const connection = await specHelper.buildConnection();
    await connection.verbs("roomAdd", "defaultRoom");
    await connection.verbs("roomAdd", "otherRoom");
    const left: string[] = [];
    jest
      .spyOn(api.chatRoom, "removeMember")
      .mockImplementation(async (_id: string, room: string) => {
        if (room === "defaultRoom") throw new Error("stay");
        left.push(room);
        return true;
      });
    await connection.destroy();
    expect(left).toEqual(["otherRoom"]);
    expect(api.connections.connections[connection.id]).toBeUndefined();
  });
});

test("session is for middleware and actions to share", async () => {
  action.addMiddleware({
    name: "login",
    global: true,
    preProcessor: ({ connection }) => {
      connection.session.visits = (connection.session.visits ?? 0) + 1;
    },
  });
  const connection = await specHelper.buildConnection();
  await specHelper.runAction("randomNumber", connection);
  await specHelper.runAction("randomNumber", connection);
  expect(connection.session.visits).toBe(2);
});
