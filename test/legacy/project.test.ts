/** A project of version 3 as it is: its files answer over HTTP and TCP. */
import type { AddressInfo } from "node:net";
import { z } from "zod";
import { oldProject } from "../support/oldProject";
import { actionHero } from "../../src/legacy";
import { ask, type Ask } from "../support/ask";
import { connectWebsocket } from "../support/websocketClient";
import { closeAll, SocketPeer } from "../support/socketApp";
import { until } from "../support/until";
import { addActions } from "../support/webApp";
import { api, config, id, task } from "../../src/index";

const portOf = (type: string) =>
  (api.servers.servers[type].server.address() as AddressInfo).port;
const http = (path: string, options?: Ask) => ask(portOf("web"), path, options);
const post = (path: string, body: object) =>
  http(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

beforeAll(() => actionHero.start());
afterEach(closeAll);
afterAll(async () => {
  await actionHero.stop();
  oldProject.remove();
});

test("the configuration is that of config.js", () => {
  expect(config.general).toMatchObject({
    apiVersion: "3.1.0",
    serverName: "old api",
    defaultChatRoom: "lobby",
    startingChatRooms: { lobby: {} },
    defaultLimit: 50,
    defaultOffset: 0,
  });
  expect(config.tasks).toMatchObject({
    minTaskProcessors: 1,
    maxTaskProcessors: 1,
  });
  expect(config.mine.answer).toBe(42);
});

describe("HTTP", () => {
  test("an action, with the envelope of old", async () => {
    const { status, headers, json } = await http("/api/hello?name=ada");
    expect(status).toBe(200);
    expect(headers["x-old"]).toBe("yes");
    expect(json).toMatchObject({
      greeting: "hello ada",
      limit: 50,
      offset: 0,
      type: "web",
      error: "OK",
      serverInformation: { serverName: "old api", apiVersion: "3.1.0" },
      requestorInformation: {
        remoteAddress: "127.0.0.1",
        recievedParams: { name: "ada", action: "hello" },
      },
    });
  });

  test("actions can be called by other names, and by a query", async () => {
    for (const path of [
      "/hello?name=b",
      "/api/?action=hello&name=b",
      "/anything?action=hello&name=b",
    ])
      expect((await http(path)).json.greeting).toBe("hello b");
    const { json } = await post("/api/hello", { name: "c", greeting: "bye" });
    expect(json.greeting).toBe("bye c");
  });

  test("missing params are an error, and unknown ones are ignored", async () => {
    const { status, json } = await http("/api/hello?nobody=1");
    expect([status, json.error]).toEqual([
      422,
      "name is a required parameter for this action",
    ]);
  });

  test("connection.error and the response that came with it", async () => {
    const { status, json } = await http("/api/fails");
    expect([status, json.error, json.half]).toEqual([418, "no luck", "done"]);
  });

  test("next(connection, false): nothing is sent but what the action sent", async () => {
    expect((await http("/api/silent")).text).toBe("by hand");
  });

  test("files, the index, and the words for those that are not there", async () => {
    const file = await http("/public/folder/some.txt");
    expect(file.text).toBe("some text\n");
    expect(file.headers["cache-control"]).toMatch(/max-age=0\b/);
    expect((await http("/public/")).text).toContain("an old page");
    expect((await http("/public/nothing.txt")).text).toBe(
      "there is no such file",
    );
    expect((await http("/public/folder/")).text).toBe("there is no index");
  });

  test("the cache, by callbacks", async () => {
    const { json } = await http("/api/cached?key=k&value=v");
    expect(json).toMatchObject({
      saved: true,
      value: "v",
      read: null,
      destroyed: true,
      gone: [null, null],
    });
    expect(Math.abs(json.livesFor - 60_000)).toBeLessThan(5000);
  });

  test("the functions of version 3 are on api, and an initializer ran", async () => {
    const { json } = await http("/api/insides");
    expect(json).toMatchObject({
      serverName: "old api",
      sum: 43,
      counter: Object.keys(api.actions.actions).length,
      members: 0,
      postVariables: true,
      unique: [1],
    });
  });

  test("a task is enqueued and runs", async () => {
    const { json } = await http("/api/enqueue?key=first");
    expect(json.enqueued).toBe(true);
    await until(() => api.counted?.includes("first"));
    await task.run("count", { key: "at once" });
    expect(api.counted).toEqual(["first", "at once"]);
  });
});

describe("TCP", () => {
  async function connect(): Promise<SocketPeer> {
    const peer = await SocketPeer.connect(portOf("socket"));
    expect(await peer.next()).toEqual({
      welcome: "Hello from old times",
      room: "lobby",
      context: "api",
      messageCount: 0,
    });
    return peer;
  }

  test("a TCP client uses params, actions and rooms", async () => {
    const peer = await connect();
    await peer.ask("paramAdd name=tcp");
    expect(await peer.ask("hello")).toMatchObject({
      greeting: "hello tcp",
      limit: 50,
      type: "socket",
      context: "response",
      messageId: 2,
    });
    expect((await peer.ask("fails")).error).toBe("no luck");
    expect((await peer.ask("roomView")).data).toMatchObject({ room: "lobby" });
    expect((await peer.ask("insides")).room).toBe("lobby");
    expect(await peer.ask("roomChange elsewhere")).toMatchObject({
      status: "OK",
      room: "elsewhere",
    });
    peer.send("say hello everybody");
    await until(() => peer.text.includes('"message":"hello everybody"'));
  });

  test("requests of one client at the same time keep to themselves", async () => {
    const peer = await connect();
    for (const name of ["a", "b", "c"])
      peer.send(JSON.stringify({ action: "hello", params: { name } }));
    const answers = [await peer.next(), await peer.next(), await peer.next()];
    expect(answers.map(({ greeting }) => greeting).sort()).toEqual([
      "hello a",
      "hello b",
      "hello c",
    ]);
  });
});

describe("classes of today among the files", () => {
  test("actionsView lists the actions but itself, and for TCP the verbs", async () => {
    const { json } = await http("/api/actionsView");
    const names = json.actions.map(({ name }: any) => name);
    expect(names).toEqual([...names].sort());
    expect(names).toContain("hello");
    expect(names).not.toContain("actionsView");
    expect(json.actions.find(({ name }: any) => name === "hello")).toEqual({
      name: "hello",
      description: "greets",
      inputs: { required: ["name"], optional: ["greeting"] },
      outputExample: { greeting: "hello x" },
    });
    expect(json).not.toHaveProperty("verbs");
    const peer = await SocketPeer.connect(portOf("socket"));
    await peer.next();
    const answer = await peer.ask("actionsView");
    expect(answer.verbs).toContain("roomChange");
  });

  test("actionsView lists the names of a schema", async () => {
    addActions({
      checked: {
        inputs: z.object({ name: z.string(), times: z.number().default(1) }),
        run: () => undefined,
      },
    });
    const { json } = await http("/api/actionsView");
    const { inputs } = json.actions.find(({ name }: any) => name === "checked");
    expect(inputs).toEqual({ required: ["name"], optional: ["times"] });
  });

  test("status, with the figures of old", async () => {
    const { stats } = (await http("/api/status")).json;
    expect(stats).toMatchObject({
      peers: [id],
      cache: { numberOfObjects: 0 },
      queue: { queueLength: 0 },
      socketServer: { activeClients: 0 },
      webServer: { activeClients: 1 },
    });
    expect(stats.uptimeSeconds).toBeGreaterThan(0);
    expect(stats.memory.heapUsed).toBeGreaterThan(0);
    const { webServer } = (await http("/api/status")).json.stats;
    expect(webServer.requests).toBe(stats.webServer.requests + 1);
  });

  test("file, by a param and by the path", async () => {
    for (const path of [
      "/api/?action=file&fileName=folder/some.txt",
      "/file/folder/some.txt",
      "/public/folder/some.txt",
    ])
      expect((await http(path)).text).toBe("some text\n");
    const outside = await http("/api/file?fileName=../config.js");
    expect([outside.status, outside.text]).toEqual([
      404,
      "there is no such file",
    ]);
    expect((await http("/api/file")).status).toBe(422);
    for (const odd of ["fileName[a]=1", "fileName[toString]=1", "fileName=%00"])
      expect((await http(`/api/file?${odd}`)).status).toBeGreaterThan(399);
  });

  test("say, from HTTP to the clients of a room", async () => {
    const client = await connectWebsocket();
    const message = { room: "lobby", message: "from afar" };
    const { json } = await post("/api/say", message);
    expect(json.roomStatus.membersCount).toBeGreaterThan(0);
    const heard = await client.next("the message", (m) => m?.message);
    expect(heard).toMatchObject({ ...message, context: "user" });
    expect(heard.from).toBe(json.requesterInformation.id);
    client.close();
    await client.closed;

    expect(
      (await post("/api/say", { ...message, room: "no" })).json.error,
    ).toBe("room does not exist");
    expect((await http("/api/say?room=lobby&message=x")).status).toBe(404);
  });
});
