/** The client from the registry, as it is. */
import * as fs from "node:fs";
import type * as net from "node:net";
import * as path from "node:path";
import { once } from "node:events";
import ActionheroNodeClient from "actionhero-node-client";
import { freePort } from "../../support/freePort";
import {
  allGone,
  closeAll,
  socketPort,
  socketServer,
  startSocketApp,
} from "../../support/socketApp";
import { until } from "../../support/until";
import { addActions } from "../../support/webApp";
import { config, type Process } from "../../../src/index";

/** `file` has no usable answer, and the client leaves the rejection of its timeout to nobody. */
class Client extends ActionheroNodeClient {
  errors: Error[] = [];
  said: any[] = [];
  timeouts: string[] = [];

  constructor() {
    super();
    this.on("error", (error: Error) => this.errors.push(error));
    this.on("say", (message: unknown) => this.said.push(message));
    this.on("timeout", (message: string) => this.timeouts.push(message));
  }

  override awaitServerResponse(message: string): Promise<any> {
    const answer = super.awaitServerResponse(message) as Promise<any>;
    answer.catch(() => undefined);
    return answer;
  }
}

let app: Process;
let release: (() => void) | undefined;
const clients: Client[] = [];

beforeAll(async () => {
  app = await startSocketApp({ port: await freePort() });
  addActions({
    hold: {
      run: () => new Promise<void>((resolve) => (release = resolve)),
    },
  });
});

afterAll(() => app.stop());

afterEach(async () => {
  release?.();
  for (const client of clients.splice(0)) {
    client.connected = null as never; // so that it does not come again
    (client.connection as unknown as net.Socket).destroy();
  }
  await closeAll();
});

async function connect(settings: object = {}): Promise<Client> {
  const client = new Client();
  clients.push(client);
  const welcome = once(client, "welcome");
  await client.connect({ host: "127.0.0.1", port: socketPort(), ...settings });
  expect(await welcome).toEqual([config.general.welcomeMessage]);
  return client;
}

test("the client connects, and knows its details", async () => {
  const client = await connect();
  const [connection] = socketServer().connections();
  expect(client.id).toBe(connection.id);
  const { data, error } = await client.awaitServerResponse("detailsView");
  expect(error).toBeNull();
  expect(data.data).toMatchObject({
    id: connection.id,
    totalActions: 0,
    pendingActions: 0,
  });
});

test("the client runs actions, and gets their errors", async () => {
  const client = await connect();
  const { error, data, delta } = await client.action("randomNumber");
  expect(error).toBeNull();
  expect(data.randomNumber).toBeGreaterThanOrEqual(0);
  expect(Number.isFinite(delta)).toBe(true);

  const missing = await client.action("cacheTest");
  expect(missing.error!.message).toBe(
    "key is a required parameter for this action",
  );
  const unknown = await client.action("noSuchAction");
  expect(unknown.error!.message).toBe("unknown action or invalid apiVersion");
});

test("params of an action replace those of the connection", async () => {
  const client = await connect();
  await client.paramAdd("key", "sticky");
  const params = { key: "mykey", value: "myValue" };
  const { error, data } = await client.actionWithParams("cacheTest", params);
  expect(error).toBeNull();
  expect(data.cacheTestResults).toMatchObject({
    saveResp: true,
    deleteResp: true,
    loadResp: { key: "cacheTest_mykey", value: "myValue" },
  });
  const short = await client.actionWithParams("cacheTest", {
    key: "mykey",
    value: "v",
  });
  expect(short.error!.message).toBe("inputs should be at least 3 letters long");
});

test("the client adds, views and deletes params", async () => {
  const client = await connect();
  await client.paramAdd("key", "v1");
  expect((await client.paramView("key")).data.data).toBe("v1");
  const { data } = await client.paramsView();
  expect(Object.keys(data.data).sort()).toEqual(["key", "messageId"]);
  await client.paramDelete("key");
  expect((await client.paramView("key")).data.data).toBeUndefined();
  await client.paramAdd("key", "v2");
  await client.paramsDelete();
  expect(Object.keys((await client.paramsView()).data.data)).toEqual([
    "messageId",
  ]);
});

test("two clients join a room, and get each other's messages", async () => {
  const [ada, ben] = [await connect(), await connect()];
  for (const client of [ada, ben])
    expect((await client.roomAdd("defaultRoom")).data.data).toBe(true);
  const view = await ada.roomView("defaultRoom");
  expect(view.data.data.membersCount).toBe(2);
  expect(view.data.data.members[ben.id as never]).toBeDefined();

  expect((await ada.say("defaultRoom", "hello there, Ben")).error).toBeNull();
  await until(() => ada.said.length + ben.said.length === 2);
  expect(ben.said).toEqual([
    {
      timeStamp: ben.said[0].timeStamp,
      message: "hello there, Ben",
      from: ada.id,
    },
  ]);

  await ben.roomLeave("defaultRoom");
  await ada.say("defaultRoom", "still there?");
  await until(() => ada.said.length === 2);
  expect(ben.said).toHaveLength(1);
  expect((await ben.roomView("someCrazyRoom")).error!.message).toBe(
    "connection not in this room (someCrazyRoom)",
  );
});

test("a file arrives byte for byte, and its error as a reply", async () => {
  const client = await connect();
  let raw = "";
  client.on("rawData", (text: string) => (raw += text));
  const simple = fs.readFileSync(
    path.join(__dirname, "..", "..", "..", "public", "simple.html"),
    "utf8",
  );
  await client.file("nothing.html");
  await until(() => raw.includes('"that file is not found"'));
  await until(() => !client.sending);
  expect(client.timeouts).toEqual([]);
  client.params.timeout = 300;
  await client.file("simple.html");
  await until(() => raw.endsWith(simple));
  // it waits for an answer that files do not have
  await until(() => client.timeouts.length > 0);
  expect(client.timeouts).toEqual(["file simple.html"]);
});

test("a reply after its timeout is ignored", async () => {
  const client = await connect();
  client.params.timeout = 100;
  await expect(client.action("hold")).rejects.toThrow("Timeout reached (hold)");
  expect(client.timeouts).toEqual(["hold"]);
  await until(() => release);
  release!();
  client.params.timeout = 5000;
  expect((await client.action("randomNumber")).error).toBeNull();
});

test("the client disconnects", async () => {
  const client = await connect();
  const ended = once(client, "end");
  await client.disconnect();
  await ended;
  await allGone();
  expect(client.errors).toEqual([]);
});

test("the client reconnects when the server is back", async () => {
  const client = await connect({
    reconnectTimeout: 50,
    reconnectAttempts: 100,
  });
  const { id } = client;
  const ended = once(client, "end");
  const connected = once(client, "connected");
  await socketServer().stop();
  await ended;
  await socketServer().start();
  await connected;
  expect(client.id).not.toBe(id);
  expect((await client.action("randomNumber")).error).toBeNull();
});
