/** What requests are answered with: fields, texts and order of version 29. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Readable } from "node:stream";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { until } from "../../support/until";
import { clientFrame, rawUpgrade } from "../../support/rawWebsocket";
import {
  connectWebsocket,
  type WebsocketClient,
} from "../../support/websocketClient";
import type { Spark } from "../../../src/server/websocket/spark";
import { fileReplyOf } from "../../../src/server/websocket/webSocketServer";
import { api, config } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: WebApp;
let client: WebsocketClient;
let folder: string;

const picture = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0xff, 0xfe, 10, 13]);

/** Actions that wait, and how to end each of them. */
const held: (() => void)[] = [];

beforeAll(async () => {
  app = await startWebApp();
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "ws-files-"));
  fs.writeFileSync(path.join(folder, "page.html"), "<h1>ünïcödé</h1>");
  fs.writeFileSync(path.join(folder, "picture.png"), picture);
  fs.writeFileSync(path.join(folder, "empty.txt"), "");
  fs.writeFileSync(path.join(folder, "long.txt"), "y".repeat(400_000));
  api.staticFile.searchLocations.unshift(folder);
  addActions({
    echo: {
      inputs: { value: { required: true } },
      run: ({ params }) => ({ value: params.value }),
    },
    text: { run: (data) => void (data.response = "just text") },
    list: { run: (data) => void (data.response = [1, 2]) },
    nothing: { run: (data) => void (data.response = null) },
    silent: {
      run: (data) => {
        data.toRender = false;
      },
    },
    own: { run: () => ({ error: "an error of its own" }) },
    circular: {
      run: () => {
        const loop: Record<string, unknown> = {};
        loop.loop = loop;
        return loop;
      },
    },
    push: {
      run: async ({ connection }) => {
        await connection.sendMessage({ context: "alert", news: 1 });
        return { pushed: true };
      },
    },
    streamed: {
      run: async (data) => {
        data.toRender = false;
        await api.servers.servers.websocket.sendFile(
          data.connection,
          null,
          Readable.from([picture, picture]),
          "image/png",
          2 * picture.length,
          new Date(0),
        );
      },
    },
    held: {
      inputs: { key: {} },
      run: ({ params }) =>
        new Promise((resolve) => held.push(() => resolve({ key: params.key }))),
    },
  });
});

beforeEach(async () => {
  client = await connectWebsocket();
});

afterEach(() => client.close());

afterAll(async () => {
  await app.stop();
  fs.rmSync(folder, { recursive: true });
});

test("the transcript of version 29", async () => {
  const welcome = { welcome: config.general.welcomeMessage, context: "api" };
  expect(JSON.stringify(client.received[0])).toBe(JSON.stringify(welcome));

  const details = await client.request({ event: "detailsView", messageId: 1 });
  expect(Object.keys(details)).toEqual([
    "status",
    "context",
    "data",
    "messageId",
  ]);
  const { id, connectedAt, remotePort } = details.data;
  expect(details).toEqual({
    status: "OK",
    context: "response",
    data: {
      id,
      fingerprint: id,
      remoteIP: expect.stringMatching(/127\.0\.0\.1|::1/),
      remotePort,
      params: {},
      connectedAt,
      rooms: [],
      totalActions: 0,
      pendingActions: 0,
    },
    messageId: 1,
  });

  client.send({ event: "roomAdd", room: "defaultRoom", messageId: 2 });
  client.send({
    event: "say",
    room: "defaultRoom",
    message: "hello",
    messageId: 6,
  });
  await client.next("what was said", (m) => m.context === "user");
  const [joined, said, heard] = client.received.slice(-3);
  expect(joined).toEqual({
    status: "OK",
    context: "response",
    data: true,
    messageId: 2,
  });
  expect(said).toEqual({ status: "OK", context: "response", messageId: 6 });
  expect(heard).toEqual({
    message: "hello",
    room: "defaultRoom",
    from: id,
    context: "user",
    sentAt: expect.any(Number),
  });

  const answer = await client.request({
    event: "action",
    params: { action: "echo", value: 5 },
    messageId: 9,
  });
  expect(Object.entries(answer)).toEqual([
    ["value", 5],
    ["context", "response"],
    ["messageId", 9],
  ]);
  const missing = await client.request({
    event: "action",
    params: { action: "echo" },
    messageId: 10,
  });
  expect(Object.entries(missing)).toEqual([
    ["error", "value is a required parameter for this action"],
    ["context", "response"],
    ["messageId", 10],
  ]);

  const unknown = await client.request({ event: "zzz", foo: 1, messageId: 18 });
  const text = "Error: verb not found or not allowed (zzz)";
  expect(Object.entries(unknown)).toEqual([
    ["status", text],
    ["error", text],
    ["context", "response"],
    ["data", { foo: 1 }],
    ["messageId", 18],
  ]);

  client.send({ event: "quit", messageId: 20 });
  expect(await client.closed).toEqual({ code: 1005, reason: "" });
  expect(client.received.at(-1)).toBe("primus::server::close");
});

test.each(["quit", "exit"])(
  "the answers that a client waits for are sent before its %s ends it",
  async (event) => {
    client.send({ event: "action", params: { action: "held", key: 5 } });
    client.send({ event: "file", file: "long.txt" });
    client.send({ event });
    await until(() => held.length === 1);
    const { length } = await client.next("the file", (m) => m.content);
    expect(length).toBe(400_000);
    held.pop()!();
    await client.closed;
    expect(client.received.at(-2)).toMatchObject({ key: 5 });
    expect(client.received.at(-1)).toBe("primus::server::close");
  },
);

test("an action that does not end holds a client that quits for general.shutdownTimeout", async () => {
  config.general.shutdownTimeout = 50;
  client.send({ event: "action", params: { action: "held" } });
  client.send({ event: "quit" });
  await client.closed;
  held.pop()!();
});

describe("message ids", () => {
  test.each([["text"], [7], [{ any: ["json"] }], [true]])(
    "%j comes back as it is",
    async (messageId) => {
      client.send({ event: "action", params: { action: "own" }, messageId });
      const answer = await client.next("the answer", (m) => m.error);
      expect(answer.messageId).toEqual(messageId);
    },
  );

  test("message id 0 counts as missing, and every response has an id", async () => {
    for (const messageId of [0, "", null, undefined])
      client.send({ event: "action", params: { action: "own" }, messageId });
    await until(() => client.received.length === 5);
    const ids = client.received.slice(1).map((m) => m.messageId);
    expect(new Set(ids).size).toBe(4);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("a messageId inside params stays a param", async () => {
    client.send({
      event: "action",
      params: { action: "own", messageId: "inner" },
      messageId: "outer",
    });
    const { messageId } = await client.next("the answer", (m) => m.error);
    expect(messageId).toBe("outer");
  });
});

describe("actions", () => {
  test.each([
    ["none", undefined],
    ["a text", "echo"],
    ["a list", ["echo"]],
    ["null", null],
  ])("params that are %s name no action", async (_what, params) => {
    const { error } = await client.request({ event: "action", params });
    expect(error).toBe("unknown action or invalid apiVersion");
  });

  test("params do not stay for the next request", async () => {
    await client.action("echo", { value: 1 });
    expect((await client.action("echo")).error).toMatch(/value is a required/);
  });

  test("eleven at once keep their own params, the sixth pending is refused", async () => {
    const answers = Array.from({ length: 11 }, (_, key) =>
      client.action("held", { key }),
    );
    for (const { error } of await Promise.all(answers.slice(5)))
      expect(error).toBe("you have too many pending requests");
    for (const release of held.splice(0)) release();
    const settled = await Promise.all(answers.slice(0, 5));
    expect(settled.map(({ key }) => key)).toEqual([0, 1, 2, 3, 4]);
  });

  test("a response that is not an object is in `data`", async () => {
    expect(await client.action("text")).toMatchObject({
      data: "just text",
      context: "response",
    });
    expect((await client.action("list")).data).toEqual([1, 2]);
    expect((await client.action("nothing")).error).toBeUndefined();
  });

  test("an error that the action responds with", async () => {
    expect((await client.action("own")).error).toBe("an error of its own");
  });

  test("a response that JSON cannot express is answered with an error", async () => {
    const { error, messageId } = await client.action("circular", {
      messageId: "c",
    });
    expect(error).toContain("Converting circular structure to JSON");
    expect(messageId).toBe("c");
    config.errors.exposeMessages = "intended";
    expect((await client.action("circular")).error).toMatch(
      /an internal error \([0-9a-f]{12}\)$/,
    );
    config.errors.exposeMessages = "all";
  });

  test("toRender false: nothing is sent", async () => {
    client.send({
      event: "action",
      params: { action: "silent" },
      messageId: "s",
    });
    await client.action("own");
    expect(client.received.some((m) => m.messageId === "s")).toBe(false);
  });

  test("what is sent with a context goes before the response, and answers nothing", async () => {
    await client.action("push");
    const [news] = client.received.slice(-2);
    expect(news).toEqual({ context: "alert", news: 1 });
  });

  test("config.errors words errors for websockets, also by a promise", async () => {
    const { servers } = config.errors.serializers;
    const before = servers.websocket;
    servers.websocket = async (error: any) => ({
      code: 1,
      text: error.message,
    });
    const { error } = await client.action("echo");
    servers.websocket = before;
    expect(error).toEqual({
      code: 1,
      text: "value is a required parameter for this action",
    });
  });
});

describe("what a project has wrapped sends the replies", () => {
  afterEach(() => jest.restoreAllMocks());

  test("sendMessage of the server", async () => {
    const { websocket } = api.servers.servers;
    const sendMessage = jest.spyOn(websocket, "sendMessage");
    expect(await client.action("echo", { value: 1 })).toMatchObject({
      value: 1,
    });
    expect(sendMessage).toHaveBeenCalledTimes(1);
  });

  test("write of a spark", async () => {
    const { websocket } = api.servers.servers;
    const spark = websocket.connections()[0].rawConnection as Spark;
    const write = jest.spyOn(spark, "write");
    const reply = await client.action("echo", { value: 1 });
    expect(write).toHaveBeenCalledWith(reply);
  });
});

describe("messages from the server", () => {
  test("without a context they answer the last request", async () => {
    await client.request({ event: "detailsView", messageId: "last" });
    const [connection] = api.servers.servers.websocket.connections();
    const message = Object.freeze({ hello: 1 });
    await connection.sendMessage(message);
    const got = await client.next("the message", (m) => m.hello);
    expect(got).toEqual({ hello: 1, context: "response", messageId: "last" });
  });

  test("values that are not objects are sent unchanged; values that JSON cannot represent are refused", async () => {
    const [connection] = api.servers.servers.websocket.connections();
    await connection.sendMessage("text");
    await connection.sendMessage([1]);
    const loop: Record<string, unknown> = {};
    loop.loop = loop;
    await expect(connection.sendMessage(loop)).rejects.toThrow(/circular/);
    await client.next("both", (m) => Array.isArray(m));
    expect(client.received.slice(-2)).toEqual(["text", [1]]);
  });
});

describe("files", () => {
  const ask = (file: unknown, more: object = {}) =>
    client.request({ event: "file", file, ...more });

  test("text is sent as it is", async () => {
    const answer = await ask("page.html", { messageId: 13 });
    expect(Object.keys(answer)).toEqual([
      "content",
      "mime",
      "length",
      "lastModified",
      "context",
      "messageId",
    ]);
    expect(answer).toMatchObject({
      content: "<h1>ünïcödé</h1>",
      mime: "text/html",
      length: 20,
      context: "response",
      messageId: 13,
    });
    expect((await ask("empty.txt")).content).toBe("");
  });

  test("bytes are sent in base64, text as well when asked for", async () => {
    const answer = await ask("picture.png");
    expect(answer).toMatchObject({
      encoding: "base64",
      length: picture.length,
    });
    expect(Buffer.from(answer.content, "base64").equals(picture)).toBe(true);
    const page = await ask("page.html", { encoding: "base64" });
    expect(Buffer.from(page.content, "base64").toString()).toBe(
      "<h1>ünïcödé</h1>",
    );
  });

  test.each([["nothing.html"], [undefined], [5], ["../package.json"]])(
    "%s is not found",
    async (file) => {
      const answer = await ask(file, { messageId: "n" });
      expect(answer).toEqual({
        error: "that file is not found",
        content: null,
        mime: "text/html",
        length: 22,
        context: "response",
        messageId: "n",
      });
    },
  );

  test("many files at once are sent in order, beside other requests", async () => {
    const files = Array.from({ length: 80 }, (_, i) =>
      i % 2 ? "page.html" : "long.txt",
    );
    const answers = files.map((file) => ask(file));
    const other = client.request({ event: "detailsView" });
    const lengths = (await Promise.all(answers)).map(({ length }) => length);
    expect(lengths).toEqual(
      files.map((f) => (f === "page.html" ? 20 : 400_000)),
    );
    expect((await other).status).toBe("OK");
    const { messageId } = await client.action("own", { messageId: "after" });
    expect(messageId).toBe("after");
  });

  test("files of many clients are in memory a few at a time", async () => {
    const server = api.servers.servers.websocket;
    const processFile = server.processFile.bind(server);
    let open = 0;
    let most = 0;
    let fails = 0;
    const spy = jest
      .spyOn(server, "processFile")
      .mockImplementation(async (connection) => {
        most = Math.max(most, ++open);
        try {
          if (fails++ < 5) throw new Error("broken");
          await processFile(connection);
        } finally {
          open--;
        }
      });
    const many = await Promise.all(
      Array.from({ length: 20 }, () => connectWebsocket()),
    );
    const answers = await Promise.all(
      many.map((one) => one.request({ event: "file", file: "long.txt" })),
    );
    spy.mockRestore();
    expect(answers.filter(({ length }) => length === 400_000)).toHaveLength(15);
    expect(most).toBe(4);
    for (const one of many) one.close();
  });

  test("a file whose client has left is no error of the file", async () => {
    const fileStream = Readable.from([Buffer.from("a"), Buffer.from("b")]);
    const onError = jest.fn();
    fileStream.on("error", onError);
    const facts = { mime: "text/plain", length: 2 };
    const wish = { encoding: "", maxBytes: 0, isWanted: () => false };
    const { content } = await fileReplyOf({ fileStream }, facts, wish);
    expect(content).toBeNull();
    await until(() => fileStream.closed);
    expect(onError).not.toHaveBeenCalled();
  });

  test("a file that is too long is refused", async () => {
    config.websocket.maxBufferedBytes = 300_000;
    const { error, content } = await ask("long.txt");
    expect(error).toBe(
      "the file is longer than 300000 bytes, get it over HTTP",
    );
    expect(content).toBeNull();
  });

  test.each([
    ["bytes, in base64", "bytes.bin", Buffer.alloc(300_000, 0xff)],
    ["control characters, escaped", "controls.txt", "\u0001".repeat(100_000)],
  ])(
    "one that is too long as a message (%s) is refused",
    async (_what, name, content) => {
      fs.writeFileSync(path.join(folder, name), content);
      config.websocket.maxBufferedBytes = 390_000;
      const { error } = await ask(name);
      expect(error).toBe(
        "the file is longer than 390000 bytes, get it over HTTP",
      );
    },
  );

  test("a client that still reads one is not cut for the answers after it", async () => {
    const before = config.websocket.maxBufferedBytes;
    const limit = 8 * 1024 * 1024;
    config.websocket.maxBufferedBytes = limit;
    fs.writeFileSync(path.join(folder, "large.txt"), "z".repeat(limit - 100));
    const raw = await rawUpgrade();
    expect(await raw.status()).toBe(101);
    const [connection] = await until(() => {
      const all = api.servers.servers.websocket.connections();
      return all.length === 2 && [all[1]];
    });
    raw.socket.pause();
    raw.socket.write(
      clientFrame(JSON.stringify({ event: "file", file: "large.txt" })),
    );
    const spark = connection.rawConnection;
    await until(() => spark.bufferedBytes > 1024 * 1024);
    while (spark.isOpen && spark.bufferedBytes < limit + 1_000_000)
      await connection.sendMessage({ text: "a".repeat(400_000) });
    config.websocket.maxBufferedBytes = before;
    expect(spark.readyState).toBe(1);
    raw.socket.destroy();
    await raw.closed;
  });

  test("an action sends a stream, and a file with connection.sendFile", async () => {
    client.send({
      event: "action",
      params: { action: "streamed" },
      messageId: 1,
    });
    const { content, lastModified } = await client.next("it", (m) => m.content);
    expect(Buffer.from(content, "base64")).toHaveLength(2 * picture.length);
    expect(lastModified).toBe("1970-01-01T00:00:00.000Z");
    const [connection] = api.servers.servers.websocket.connections();
    await connection.sendFile("page.html");
    await client.next("the page", (m) => m.mime === "text/html");
  });
});

describe("before the connection is there", () => {
  afterEach(() => {
    api.connections.middleware = {};
    api.connections.globalMiddleware = [];
  });

  test("messages wait for the create middleware, and are answered after the welcome", async () => {
    let proceed: () => void = () => undefined;
    api.connections.addMiddleware({
      name: "slow",
      create: () => new Promise<void>((resolve) => (proceed = resolve)),
    });
    const early = await connectWebsocket({ welcome: false });
    for (const messageId of ["a", "b"])
      early.send({ event: "detailsView", messageId });
    early.ws.ping();
    expect(early.received).toEqual([]);
    proceed();
    await early.next("the answers", (m) => m.messageId === "b");
    expect(early.received.map((m) => m.welcome ?? m.messageId)).toEqual([
      config.general.welcomeMessage,
      "a",
      "b",
    ]);
    early.close();
  });

  test("a frame in the same packet as the upgrade is answered", async () => {
    const raw = await rawUpgrade(
      "/primus",
      {},
      clientFrame('{"event":"detailsView","messageId":"x"}'),
    );
    await until(() => raw.text().includes('"messageId":"x"'));
    raw.socket.destroy();
  });

  test.each([
    [
      "at once",
      () => {
        throw new Error("no");
      },
    ],
    [
      "later",
      async () => {
        throw new Error("no");
      },
    ],
  ])(
    "middleware that throws %s closes the websocket, which may reconnect",
    async (_when, create) => {
      api.connections.addMiddleware({ name: "refuse", create });
      const refused = await connectWebsocket({ welcome: false });
      expect(await refused.closed).toEqual({
        code: 1011,
        reason: "connection refused",
      });
      expect(refused.received).toEqual([]);
      expect(api.servers.servers.websocket.connections()).toHaveLength(1);
    },
  );

  test("middleware that ends the connection prevents a reconnect", async () => {
    api.connections.addMiddleware({
      name: "kick",
      create: (connection) => connection.destroy(),
    });
    const kicked = await connectWebsocket({ welcome: false });
    await kicked.closed;
    expect(kicked.received).toEqual(["primus::server::close"]);
  });
});
