// first: it enables the socket server before the configuration is built
import { closeAll, SocketPeer, startSocketApp } from "../support/socketApp";
import { ask } from "../support/ask";
import { resetMiddleware } from "../support/app";
import { LogLines } from "../support/logLines";
import { until } from "../support/until";
import { addActions } from "../support/webApp";
import {
  connectWebsocket,
  webPort,
  type WebsocketClient,
} from "../support/websocketClient";
import {
  action,
  api,
  specHelper,
  type Process,
  type Server,
} from "../../src/index";

/** Values that no header can have. */
const BAD_VALUES = ["a\r\nb", "漢", undefined];

let app: Process;
let lines: LogLines;
const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown) => unhandled.push(reason);

const servers = () => api.servers.servers;

/** An async method on the connections of every server, as plugins add them. */
function addCustomMethod(server: Server): void {
  server.connectionCustomMethods = {
    ...server.connectionCustomMethods,
    fail: async () => {
      throw new Error("custom method failed");
    },
    failLater: async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      throw new Error("custom method failed later");
    },
    failAtOnce: () => {
      throw new Error("custom method failed at once");
    },
  };
}

beforeAll(async () => {
  app = await startSocketApp();
  Object.values(servers()).forEach(addCustomMethod);
  process.on("unhandledRejection", onUnhandled);
  const circle: any = {};
  circle.circle = circle;
  addActions({
    badHeader: {
      inputs: { index: { formatter: Number } },
      run: ({ connection, params }) => {
        connection.setHeader("X-A", BAD_VALUES[params.index]);
        return { done: true };
      },
    },
    badHeaderAsync: {
      run: async ({ connection }) => {
        connection.setHeader("X-A", "漢");
        await new Promise((resolve) => setTimeout(resolve, 20));
        return { done: true };
      },
    },
    badPipe: {
      run: (data) => {
        data.toRender = false;
        data.connection.pipe("text", { "X-V": "漢" });
      },
    },
    lateHeader: {
      run: (data) => {
        data.toRender = false;
        data.connection.pipe("piped");
        data.connection.setHeader("X-Late", "1");
      },
    },
    awaited: {
      run: async ({ connection }) => {
        await connection.setHeader("X-A", "漢");
      },
    },
    caught: {
      run: async ({ connection }) => {
        try {
          await connection.setHeader("X-A", "漢");
        } catch {
          return { caught: true };
        }
      },
    },
    caughtLater: {
      run: async ({ connection }) => {
        const failing = connection.fail();
        await new Promise((resolve) => setTimeout(resolve, 20));
        return { caught: await failing.catch(() => true) };
      },
    },
    custom: {
      run: async ({ connection }) => {
        connection.fail();
      },
    },
    customAtOnce: {
      run: ({ connection }) => {
        connection.failAtOnce();
      },
    },
    customLate: {
      run: async ({ connection }) => {
        connection.failLater();
        return { done: true };
      },
    },
    circular: {
      run: async (data) => {
        data.toRender = false;
        data.connection.sendMessage(circle);
      },
    },
    lateFile: {
      run: async (data) => {
        data.toRender = false;
        data.connection.sendFile("broken");
      },
    },
    twice: {
      run: async ({ connection }) => {
        connection.fail();
        throw new Error("thrown as well");
      },
    },
    inLine: {
      run: async ({ connection }) => {
        connection.sendMessage("nobody can send this");
      },
    },
    badVerb: {
      run: async ({ connection }) => {
        connection.verbs("noSuchVerb");
        await new Promise((resolve) => setTimeout(resolve, 20));
      },
    },
  });
});

beforeEach(() => {
  resetMiddleware();
  lines = new LogLines("error");
});

afterEach(async () => {
  await new Promise(setImmediate);
  lines.stop();
  expect(unhandled.splice(0)).toEqual([]);
});

afterAll(async () => {
  process.off("unhandledRejection", onUnhandled);
  await closeAll();
  await app.stop();
});

const get = (path: string) => ask(webPort(), `/api/${path}`);

/** How many error lines show a text in any of their fields. */
const logged = (text: string) =>
  lines.lines.filter((line) => JSON.stringify(line).includes(text)).length;

test.each([...BAD_VALUES.keys()])(
  "a header with bad value %s that is not awaited fails the request",
  async (index) => {
    const { status, json } = await get(`badHeader?index=${index}`);
    expect(status).toBe(500);
    expect(json.error).toMatch(/header|Invalid value/i);
    expect(lines.lines).toHaveLength(1);
  },
);

test.each([
  ["badHeaderAsync", /header/i],
  ["badPipe", /header/i],
  ["awaited", /header/i],
  ["custom", /custom method failed/],
  ["customAtOnce", /custom method failed at once/],
  ["badVerb", /verb not found/],
])("%s fails its HTTP request, and is logged once", async (name, text) => {
  const { status, json } = await get(name);
  expect(status).toBe(500);
  expect(json.error).toMatch(text);
  expect(lines.lines).toHaveLength(1);
});

test.each(["caught", "caughtLater"])(
  "a rejection that the action handles fails nothing (%s)",
  async (name) => {
    const { status, json } = await get(name);
    expect(status).toBe(200);
    expect(json.caught).toBe(true);
    expect(lines.lines).toEqual([]);
  },
);

test("a header that comes after the response began is logged once", async () => {
  const { status, text } = await get("lateHeader");
  expect([status, text]).toEqual([200, "piped"]);
  expect(lines.lines).toHaveLength(1);
});

test("a method that fails after the response is logged once", async () => {
  expect((await get("customLate")).json.done).toBe(true);
  await until(() => lines.lines.length > 0, undefined, "the log line");
  expect(logged("custom method failed later")).toBe(1);
});

test("of two errors the thrown one is the response, and both are logged", async () => {
  const { json } = await get("twice");
  expect(json.error).toBe("thrown as well");
  expect(logged("thrown as well")).toBe(1);
  expect(logged("custom method failed")).toBe(1);
});

test("a method that an in-line connection lacks fails the action", async () => {
  await expect(action.run("inLine")).rejects.toThrow("not implemented");
});

describe("a file that cannot be sent after the action ended", () => {
  beforeEach(() => {
    jest.spyOn(api.staticFile, "get").mockImplementation(async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      throw new Error("no such disk");
    });
  });
  afterEach(() => jest.restoreAllMocks());

  test("fails the HTTP request", async () => {
    const { status, json } = await ask(webPort(), "/api/lateFile");
    expect(status).toBe(500);
    expect(json.error).toBe("no such disk");
    expect(logged("no such disk")).toBeGreaterThan(0);
  });

  test("fails the request of a websocket", async () => {
    const client = await connectWebsocket();
    expect((await client.action("lateFile")).error).toBe("no such disk");
    expect(logged("no such disk")).toBe(1);
    client.close();
  });

  test("fails the request of a TCP connection", async () => {
    const peer = await SocketPeer.connect();
    await peer.next();
    expect((await peer.ask("lateFile")).error).toBe("no such disk");
    expect(logged("no such disk")).toBe(1);
  });
});

const METHODS: [string, RegExp][] = [
  ["custom", /custom method failed/],
  ["customAtOnce", /custom method failed at once/],
  ["badVerb", /verb not found/],
];

const CIRCULAR: [string, RegExp] = ["circular", /circular/];

describe("on a websocket", () => {
  let client: WebsocketClient;
  beforeEach(async () => {
    client = await connectWebsocket();
  });
  afterEach(() => client.close());

  test.each([...METHODS, CIRCULAR])(
    "%s fails its request, and is logged once",
    async (name, text) => {
      expect((await client.action(name)).error).toMatch(text);
      expect(lines.lines).toHaveLength(1);
    },
  );

  test("a method that fails after the response is logged once", async () => {
    expect((await client.action("customLate")).done).toBe(true);
    await until(() => lines.lines.length > 0, undefined, "the log line");
    expect(logged("custom method failed later")).toBe(1);
  });
});

test.each(["websocket", "socket"])(
  "a message that a %s cannot send outside of actions is logged once",
  async (type) => {
    const client =
      type === "socket" ? await SocketPeer.connect() : await connectWebsocket();
    const connection = await until(() => servers()[type].connections()[0]);
    void connection.sendMessage({ big: 1n });
    await until(() => lines.lines.length > 0, undefined, "the log line");
    expect(logged("BigInt")).toBe(1);
    await client.close();
  },
);

test.each([...METHODS, CIRCULAR])(
  "%s fails its request of a TCP connection, and is logged once",
  async (name, text) => {
    const peer = await SocketPeer.connect();
    await peer.next();
    expect((await peer.ask(name)).error).toMatch(text);
    expect(lines.lines).toHaveLength(1);
  },
);

test.each(METHODS)("%s fails its request in tests", async (name, text) => {
  expect((await specHelper.runAction(name)).error).toMatch(text);
});
