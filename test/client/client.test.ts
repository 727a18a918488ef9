/** `actionhero/client` in node, against a real server. */
process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES = "get,post";

import * as net from "node:net";
import * as path from "node:path";
import { type Connection, api, config } from "../../src/index";
import type {
  ActionheroWebsocketClient as Client,
  ClientOptions,
} from "../../src/assets/client/index";
import { ActionheroWebsocketClient } from "../../src/client/node";
import { freePort } from "../support/freePort";
import { unstalled } from "../support/stopwatch";
import { until } from "../support/until";
import { addActions, startWebApp, type WebApp } from "../support/webApp";
import { restoreConfig } from "../support/withConfig";
import { runOk } from "../support/runCli";
import { RUN_TYPESCRIPT } from "../support/sources";
import { repositoryRoot } from "../support/temporaryProject";

restoreConfig();

const LOST = "the connection was lost before the server answered";
const QUICK = { min: 10, max: 50 };

let app: WebApp;
let release: (() => void) | undefined;
const clients: Client[] = [];

beforeAll(async () => {
  app = await startWebApp();
  addActions({
    echo: {
      inputs: { text: {}, list: {} },
      run: ({ params, connection }) => ({
        text: params.text,
        list: params.list,
        via: connection.type,
      }),
    },
    held: { run: () => new Promise<void>((resolve) => (release = resolve)) },
    refuses: {
      run: () => {
        throw new Error("not today");
      },
    },
  });
});

afterEach(() => {
  release?.();
  for (const client of clients.splice(0)) client.disconnect();
  return until(() => onServer().length === 0);
});

afterAll(() => app.stop());

function onServer(): Connection[] {
  return api.servers.servers.websocket.connections();
}

function newClient(options: ClientOptions = {}): Client {
  const client = new ActionheroWebsocketClient({
    url: app.url,
    reconnect: QUICK,
    ...options,
  });
  clients.push(client);
  return client;
}

async function connected(options?: ClientOptions): Promise<Client> {
  const client = newClient(options);
  await client.connect();
  return client;
}

/** Cut all connections as a network does. */
function cut(): void {
  const { sparks } = api.servers.servers.websocket as unknown as {
    sparks: Set<{ terminate(): void }>;
  };
  for (const spark of sparks) spark.terminate();
}

function event(client: Client, name: string): Promise<any[]> {
  return new Promise((resolve) =>
    client.once(name as "say", (...args) => resolve(args)),
  );
}

describe("connecting", () => {
  test("returns the details of this connection", async () => {
    const client = newClient();
    const events: string[] = [];
    for (const name of ["welcome", "connected", "disconnected"] as const)
      client.on(name, () => events.push(name));
    expect(client.state).toBe("disconnected");
    const details = await client.connect();
    const [connection] = onServer();
    expect(details.data!.id).toBe(connection.id);
    expect(client).toMatchObject({
      id: connection.id,
      fingerprint: connection.fingerprint,
      rooms: [],
      state: "connected",
      welcomeMessage: "Welcome to the actionhero api",
    });
    expect(events).toEqual(["welcome", "connected"]);
  });

  test("connect accepts a callback", async () => {
    const client = newClient();
    const [error, details] = await new Promise<any[]>((resolve) =>
      client.connect((...args) => resolve(args)),
    );
    expect(error).toBeNull();
    expect(details.data.id).toBe(client.id);
  });

  test("a server that is not there is tried again, until disconnect", async () => {
    const client = newClient({ url: "http://127.0.0.1:1" });
    const errors: Error[] = [];
    client.on("error", (error) => errors.push(error));
    const opened = client.connect();
    await event(client, "reconnecting");
    await event(client, "reconnecting");
    expect(client.state).toBe("reconnecting");
    expect(errors.length).toBeGreaterThan(0);
    client.disconnect();
    await expect(opened).rejects.toThrow("the client is disconnected");
    expect(client.state).toBe("disconnected");
  });

  test("connect to a dead server fails after timeout, and the client connects when the server is there", async () => {
    const port = await freePort();
    const client = newClient({
      url: `http://127.0.0.1:${port}`,
      timeout: 200,
    });
    const connecting = client.connect();
    await expect(connecting).rejects.toThrow(
      /^the server cannot be reached within 200 ms \(.*ECONNREFUSED/,
    );
    await expect(connecting).rejects.toHaveProperty("cause.code");
    expect(client.state).toBe("reconnecting");

    const events: string[] = [];
    for (const name of ["connected", "reconnect"] as const)
      client.on(name, () => events.push(name));
    const late = net
      .createServer((socket) => {
        const through = net.connect(app.port, "127.0.0.1");
        socket.on("error", () => through.destroy());
        through.on("error", () => socket.destroy());
        socket.pipe(through).pipe(socket);
      })
      .listen(port, "127.0.0.1");
    try {
      await event(client, "connected");
      expect(client.state).toBe("connected");
      expect(client.id).toBe(onServer()[0].id);
      cut();
      await event(client, "reconnect");
      expect(events).toEqual(["connected", "reconnect"]);
    } finally {
      client.disconnect();
      await new Promise((resolve) => late.close(resolve));
    }
  });

  test("a server that takes the connection and says nothing is a dead one", async () => {
    const sockets: net.Socket[] = [];
    const mute = net.createServer((socket) => sockets.push(socket)).listen(0);
    const { port } = mute.address() as net.AddressInfo;
    try {
      const client = newClient({
        url: `http://127.0.0.1:${port}`,
        timeout: 100,
      });
      const [error] = await new Promise<any[]>((resolve) =>
        client.connect((...args) => resolve(args)),
      );
      expect(error.message).toBe("the server cannot be reached within 100 ms");
      client.disconnect();
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => mute.close(resolve));
    }
  });

  test("without retryFirst the first attempt that fails is the last", async () => {
    const client = newClient({ url: "http://127.0.0.1:1", retryFirst: false });
    let attempts = 0;
    client.on("reconnecting", () => attempts++);
    await expect(client.connect()).rejects.toThrow(
      /^the server cannot be reached \(.*ECONNREFUSED/,
    );
    expect(client.state).toBe("disconnected");
    await new Promise((resolve) => setTimeout(resolve, 100)); // an attempt would come after 10 ms
    expect(attempts).toBe(0);
  });

  test("without retryFirst a connection that is lost later is made again", async () => {
    const client = await connected({ retryFirst: false });
    cut();
    await event(client, "reconnect");
    expect(client.state).toBe("connected");
  });

  test("rooms do not survive disconnect", async () => {
    const client = await connected();
    await client.roomAdd("defaultRoom");
    expect(client.rooms).toEqual(["defaultRoom"]);
    client.disconnect();
    expect(client.rooms).toEqual([]);
    await client.connect();
    expect(client.rooms).toEqual([]);
    expect((await client.detailsView()).data!.rooms).toEqual([]);
  });

  test("the client can stop reconnecting", async () => {
    const client = newClient({
      url: "http://127.0.0.1:1",
      reconnect: { min: 1, retries: 2 },
    });
    await expect(client.connect()).rejects.toThrow("disconnected");
  });

  test("listeners for errors and for the result of connect are optional", async () => {
    const code = `
      const { ActionheroWebsocketClient } = require(process.argv[2]);
      const reconnect = { min: 1, retries: 1 };
      const client = new ActionheroWebsocketClient({ url: "http://127.0.0.1:1", reconnect });
      client.on("disconnected", () => console.log("disconnected"));
      client.connect();`;
    // an unhandled rejection or error would end the process with another code
    const module = path.join(repositoryRoot, "src/client/node");
    const printed = await runOk(process.execPath, [
      ...RUN_TYPESCRIPT,
      ...["--eval", code, "--", "", module],
    ]);
    expect(printed).toBe("disconnected\n");
  });

  test("connecting twice leaves one connection and one of each event", async () => {
    const client = await connected();
    const other = await connected();
    await client.connect();
    await until(() => onServer().length === 2);
    await Promise.all([
      client.roomAdd("defaultRoom"),
      other.roomAdd("defaultRoom"),
    ]);
    const heard: string[] = [];
    client.on("say", ({ message }) => heard.push(message));
    await other.say("defaultRoom", "once");
    await other.say("defaultRoom", "last");
    await until(() => heard.includes("last"));
    expect(heard).toEqual(["once", "last"]);
  });
});

describe("requests", () => {
  test("an action can be called with a promise or a callback", async () => {
    const client = await connected();
    const response = await client.action("echo", { text: "hi" });
    expect(response).toMatchObject({ text: "hi", via: "websocket" });
    const called = await new Promise<any>((resolve) =>
      client.action("echo", { text: "ho" }, resolve),
    );
    expect(called.text).toBe("ho");
    const bare = await new Promise<any>((resolve) =>
      client.action("echo", resolve),
    );
    expect(bare.via).toBe("websocket");
    expect(client.callbacks).toEqual({});
  });

  test("the params object of the caller is not changed", async () => {
    const client = await connected();
    const params = { text: "hi" };
    await client.action("echo", params);
    expect(params).toEqual({ text: "hi" });
  });

  test("an error rejects a promise, and is in the response of a callback", async () => {
    const client = await connected();
    await expect(client.action("refuses")).rejects.toMatchObject({
      message: "not today",
      response: { error: "not today", context: "response" },
    });
    const response = await new Promise<any>((resolve) =>
      client.action("refuses", resolve),
    );
    expect(response.error).toBe("not today");
    await expect(client.roomAdd("nowhere")).rejects.toThrow(
      "Error: room does not exist",
    );
  });

  test("an unhandled error does not stop the process", async () => {
    const client = await connected();
    void client.say("not mine", "x");
    void client.action("refuses");
    expect((await client.action("echo", { text: 1 })).text).toBe(1);
  });

  test("messages are numbered, and the caller's own number is kept", async () => {
    const client = await connected();
    const start = client.messageId;
    const answers = await Promise.all([
      client.action("echo"),
      client.action("echo"),
      client.action("echo", { messageId: "aaa" }),
      client.action("echo"),
    ]);
    expect(answers.map(({ messageId }) => messageId)).toEqual([
      start + 1,
      start + 2,
      "aaa",
      start + 4,
    ]);
  });

  test("a file has its text and its type", async () => {
    const client = await connected();
    const file = await client.file("simple.html");
    expect(file).toMatchObject({ mime: "text/html" });
    expect(file.content).toContain("<h1>");
    await expect(client.file("nothing")).rejects.toThrow(
      "that file is not found",
    );
  });

  test("details, documentation and custom events can be requested", async () => {
    const client = await connected();
    expect((await client.detailsView()).data!.id).toBe(client.id);
    expect(await client.documentation()).toMatchObject({ status: "OK" });
    const answer = await new Promise<any>((resolve) =>
      client.send({ event: "zzz" }, resolve),
    );
    expect(answer.error).toBe("Error: verb not found or not allowed (zzz)");
  });

  test("a response that takes too long is an error, and a late one is dropped", async () => {
    const client = await connected();
    const { requestTimeout } = client.options;
    client.options.requestTimeout = 40;
    release = undefined;
    const answer = client.action("held");
    client.options.requestTimeout = requestTimeout;
    await expect(answer).rejects.toThrow("the server did not answer in time");
    await until(() => release);
    release!();
    expect((await client.action("echo", { text: "on" })).text).toBe("on");
    expect(client.callbacks).toEqual({});
  });

  test("a message id like a property of Object.prototype is harmless", async () => {
    const client = await connected();
    const [connection] = onServer();
    for (const messageId of ["constructor", "__proto__", "toString"])
      await connection.sendMessage({ context: "response", messageId });
    expect((await client.action("echo", { text: "on" })).text).toBe("on");
  });
});

describe("rooms", () => {
  test("a client joins a room, talks, views it and leaves it", async () => {
    const [one, two] = await Promise.all([connected(), connected()]);
    await Promise.all([one.roomAdd("defaultRoom"), two.roomAdd("defaultRoom")]);
    expect(one.rooms).toEqual(["defaultRoom"]);
    const heard = event(two, "say");
    await one.say("defaultRoom", "hello");
    expect(await heard).toEqual([
      {
        message: "hello",
        room: "defaultRoom",
        from: one.id,
        context: "user",
        sentAt: expect.any(Number),
      },
    ]);
    const { data } = await one.roomView("defaultRoom");
    expect(Object.keys(data!.members).sort()).toEqual([one.id, two.id].sort());
    await one.roomLeave("defaultRoom");
    expect(one.rooms).toEqual([]);
    await expect(one.say("defaultRoom", "x")).rejects.toThrow(
      "connection not in this room (defaultRoom)",
    );
  });

  test("joining a room twice at once leaves one", async () => {
    const client = await connected();
    const both = await Promise.allSettled([
      client.roomAdd("defaultRoom"),
      client.roomAdd("defaultRoom"),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual([
      "fulfilled",
      "rejected",
    ]);
    expect(client.rooms).toEqual(["defaultRoom"]);
  });

  test("what the server pushes is an event of its context", async () => {
    const client = await connected();
    const [connection] = onServer();
    for (const context of ["alert", "api"]) {
      const pushed = event(client, context);
      await connection.sendMessage({ context, n: 1 });
      expect(await pushed).toEqual([{ context, n: 1 }]);
    }
  });
});

describe("a lost connection", () => {
  test("pending requests fail; then the client is back in its rooms", async () => {
    const client = await connected();
    await client.roomAdd("defaultRoom");
    const before = client.id;
    const events: string[] = [];
    for (const name of ["disconnected", "reconnecting", "reconnect"] as const)
      client.on(name, () => events.push(name));

    const waiting = client.action("held");
    const called = new Promise<any>((resolve) =>
      client.detailsView((response) => resolve(response)),
    );
    await until(() => release);
    await called;
    const back = event(client, "reconnect");
    cut();
    await expect(waiting).rejects.toThrow(LOST);
    await back;

    expect(events).toEqual(["disconnected", "reconnecting", "reconnect"]);
    expect(client.state).toBe("connected");
    expect(client.id).not.toBe(before);
    expect(client.rooms).toEqual(["defaultRoom"]);
    await until(() => onServer().length === 1);
    expect(onServer()[0]).toMatchObject({
      id: client.id,
      rooms: ["defaultRoom"],
    });
  });

  test("messages sent in the meantime wait until the client is in the room again", async () => {
    const client = await connected();
    await client.roomAdd("defaultRoom");
    const gone = event(client, "disconnected");
    cut();
    await gone;
    const heard = event(client, "say");
    await client.say("defaultRoom", "meanwhile");
    expect((await heard)[0].message).toBe("meanwhile");
  });

  test("waiting requests are sent gradually, in order, if the server limits messages per second", async () => {
    const client = await connected();
    config.websocket.maxMessagesPerSecond = 200;
    const heard: number[] = [];
    cut();
    await event(client, "reconnecting");
    const answers = Array.from({ length: 250 }, (_, n) =>
      client.detailsView().then(() => heard.push(n)),
    );
    await event(client, "reconnect");
    answers.push(client.detailsView().then(() => heard.push(250)));
    await Promise.all(answers);
    expect(heard).toEqual(Array.from({ length: 251 }, (_, n) => n));
  });

  test("the queue of waiting requests is limited to queueSize", async () => {
    const client = await connected({ queueSize: 1 });
    const gone = event(client, "disconnected");
    cut();
    await gone;
    const first = client.detailsView();
    await expect(client.detailsView()).rejects.toThrow(
      "too many requests wait for the connection",
    );
    expect((await first).data!.id).toBe(client.id);
  });

  test("waiting requests also time out", async () => {
    const client = newClient();
    const { requestTimeout } = client.options;
    client.options.requestTimeout = 30;
    const answer = client.detailsView();
    client.options.requestTimeout = requestTimeout;
    await expect(answer).rejects.toThrow("in time");
    await client.connect();
    expect(client.callbacks).toEqual({});
  });

  test("the client disconnects from a silent server", async () => {
    await unstalled(async () => {
      const client = await connected({ pingTimeout: 50 });
      const back = event(client, "reconnect");
      await event(client, "disconnected");
      await back;
    }, 25);
  });

  test("disconnect is permanent, and fails waiting requests", async () => {
    const client = await connected();
    let times = 0;
    client.on("disconnected", () => times++);
    const waiting = client.action("held");
    client.disconnect();
    await expect(waiting).rejects.toThrow(LOST);
    client.disconnect();
    expect(times).toBe(1);
    expect(client.state).toBe("disconnected");
    await until(() => onServer().length === 0);
    await client.connect();
    expect(client.state).toBe("connected");
  });

  test("a goodbye of the server is permanent, too", async () => {
    const client = await connected();
    const gone = event(client, "disconnected");
    await onServer()[0].destroy();
    await gone;
    expect(client.state).toBe("disconnected");
  });
});

describe("without a connection", () => {
  test("actions go over HTTP", async () => {
    const client = newClient();
    const response = await client.action("echo", { text: "a&b=ü", list: [1] });
    expect(response).toMatchObject({ text: "a&b=ü", list: [1], via: "web" });
    const called = await new Promise<any>((resolve) =>
      client.action("echo", { text: "x" }, resolve),
    );
    expect(called.via).toBe("web");
  });

  test("actions go by GET if configured", async () => {
    const client = newClient();
    const params = { action: "echo", httpMethod: "get", text: "a&b=ü" };
    const response = await client.actionWeb(params);
    expect(response).toMatchObject({ text: "a&b=ü", via: "web" });
    expect(response.requesterInformation.receivedParams.httpMethod).toBe(
      undefined,
    );
  });

  test("actions over HTTP have the errors of the server", async () => {
    const client = newClient();
    await expect(client.action("refuses")).rejects.toMatchObject({
      message: "not today",
      response: { error: "not today" },
    });
  });

  test("a missing server, an invalid response and a timeout are errors", async () => {
    const none = newClient({ url: "http://127.0.0.1:1" });
    await expect(none.action("echo")).rejects.toThrow(
      "cannot reach the server",
    );
    const file = newClient({ apiPath: "/public/simple.html" });
    const response = await new Promise<any>((resolve) =>
      file.actionWeb({ action: "x", httpMethod: "GET" }, resolve),
    );
    expect(response.error.responseText).toContain("<h1>");
    const slow = newClient({ requestTimeout: 30 });
    await expect(slow.action("held")).rejects.toThrow("in time");
  });
});
