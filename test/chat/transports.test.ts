/** Chat through the framework's own transports: one room with websocket, TCP and test clients. */
import * as fs from "node:fs";
import * as path from "node:path";
import * as vm from "node:vm";
import * as ts from "typescript";
import {
  allGone,
  closeAll,
  SocketPeer,
  socketServer,
  startSocketApp,
} from "../support/socketApp";
import {
  Action,
  api,
  chatRoom,
  config,
  specHelper,
  type ChatTransport,
  type Connection,
  type Process,
} from "../../src/index";
import { LogLines } from "../support/logLines";
import {
  connectWebsocket,
  webPort,
  type WebsocketClient,
} from "../support/websocketClient";
import { repositoryRoot } from "../support/temporaryProject";
import { until } from "../support/until";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const room = "defaultRoom";
const websockets: WebsocketClient[] = [];
let server: Process;
let log: LogLines;

beforeAll(async () => {
  server = await startSocketApp();
  log = new LogLines("warning");
});

afterEach(async () => {
  for (const client of websockets.splice(0)) client.close();
  await closeAll();
  await until(() => connections("websocket").length === 0);
  log.lines.length = 0;
});

afterAll(async () => {
  log.stop();
  await server.stop();
});

function connections(type: string): Connection[] {
  return api.servers.servers[type].connections();
}

function bufferedOf(connection: Connection): number {
  const transport = api.servers.servers[
    connection.type
  ] as unknown as ChatTransport;
  return transport.bufferedBytes(connection);
}

async function websocketMember(): Promise<WebsocketClient> {
  const client = await connectWebsocket();
  websockets.push(client);
  const { error } = await client.request({ event: "roomAdd", room });
  expect(error).toBeUndefined();
  return client;
}

async function socketMember(): Promise<SocketPeer> {
  const peer = await SocketPeer.connect();
  await peer.next(); // the welcome
  expect(await peer.ask(`roomAdd ${room}`)).toMatchObject({ data: true });
  return peer;
}

const heard = (messages: any[]) =>
  messages.filter(({ context }) => context === "user");

describe("config.general.defaultChatRoom", () => {
  beforeEach(async () => {
    config.general.defaultChatRoom = "lobby";
    await api.chatRoom.restoreMembers(); // as at the start
  });

  test("every client that can chat is in it, and its welcome says so", async () => {
    const web = await connectWebsocket();
    websockets.push(web);
    const tcp = await SocketPeer.connect();
    const { welcomeMessage: welcome } = config.general;
    const expected = JSON.stringify({ welcome, room: "lobby", context: "api" });
    expect(JSON.stringify(web.received[0])).toBe(expected);
    expect(JSON.stringify(await tcp.next())).toBe(expected);
    expect((await chatRoom.roomStatus("lobby")).membersCount).toBe(2);
    tcp.send("say lobby hello");
    await until(() => heard(web.messages).length === 1);
    const inside = await specHelper.buildConnection();
    expect(inside.rooms).toEqual([]);
  });

  test("a client that middleware excludes is still served", async () => {
    await chatRoom.addMiddleware({
      name: "bouncer",
      join: () => {
        throw new Error("full");
      },
    });
    try {
      const tcp = await SocketPeer.connect();
      expect(Object.keys(await tcp.next())).toEqual(["welcome", "context"]);
      expect(await tcp.ask("detailsView")).toMatchObject({
        data: { rooms: [] },
      });
    } finally {
      api.chatRoom.middleware = {};
      api.chatRoom.globalMiddleware = [];
    }
  });
});

test("clients of every transport receive a message in the same form", async () => {
  const web = await websocketMember();
  const tcp = await socketMember();
  const inside = await specHelper.buildConnection();
  await inside.verbs("roomAdd", [room]);

  await web.request({ event: "say", room, message: "from the web" });
  await until(() => heard(tcp.messages).length === 1);
  tcp.send(`say ${room} from a terminal`);
  await until(() => heard(web.messages).length === 2);
  await until(() => heard(inside.messages!).length === 2);

  const said = heard(web.messages);
  expect(said.map(({ message }) => message)).toEqual([
    "from the web",
    "from a terminal",
  ]);
  expect(Object.keys(said[0])).toEqual([
    "message",
    "room",
    "from",
    "context",
    "sentAt",
  ]);
  expect(heard(tcp.messages)).toEqual(said);
  expect(heard(inside.messages!)).toEqual(said);
  await inside.destroy();
});

describe("an object that a client says", () => {
  const spoken = { title: "it works", list: [1, { deep: true }] };
  let web: WebsocketClient;
  let tcp: SocketPeer;

  beforeEach(async () => {
    web = await websocketMember();
    tcp = await socketMember();
  });

  /** What both members heard after these were said by a websocket client and by one of TCP. */
  async function said(...messages: unknown[]): Promise<unknown[]> {
    const before = heard(web.messages).length;
    for (const message of messages) {
      await web.request({ event: "say", room, message });
      tcp.send(JSON.stringify({ event: "say", room, message }));
    }
    const count = before + 2 * messages.length;
    await until(() =>
      [web.messages, tcp.messages].every((all) => heard(all).length === count),
    );
    const [byWeb, byTcp] = [web, tcp].map((member) =>
      heard(member.messages)
        .slice(before)
        .map(({ message }) => message),
    );
    expect(byTcp).toEqual(byWeb);
    return byWeb;
  }

  test("reaches websocket and TCP clients as it is with general.sayObjects", async () => {
    config.general.sayObjects = true;
    expect(await said(spoken, [1, 2])).toEqual([
      spoken,
      spoken,
      [1, 2],
      [1, 2],
    ]);
    // as version 29 has it
    expect(await said(5, true)).toEqual(["5", "5", "true", "true"]);
  });

  test("is the text of its JSON without the setting, or beside other words", async () => {
    const text = JSON.stringify(spoken);
    expect(await said(spoken)).toEqual([text, text]);
    config.general.sayObjects = true;
    await web.request({ event: "say", room, message: spoken, more: "words" });
    await until(() => heard(tcp.messages).length === 3);
    expect(heard(tcp.messages)[2].message).toBe(`${text} words`);
  });

  test("is hidden from the log where it has secrets", async () => {
    config.general.sayObjects = true;
    config.general.filteredParams = ["**.password"];
    const debug = new LogLines("debug");
    try {
      await said({ password: "my own" });
    } finally {
      debug.stop();
      config.general.filteredParams = [];
    }
    const lines = debug.lines.filter(({ verb }) => verb === "say");
    expect(lines).toHaveLength(2);
    expect(JSON.stringify(lines)).not.toContain("my own");
  });
});

test("a line of JSON joins rooms whose names have spaces", async () => {
  const name = "my room";
  await chatRoom.add(name);
  const tcp = await SocketPeer.connect();
  await tcp.next(); // the welcome
  const ask = (request: object) => tcp.ask(JSON.stringify(request));
  expect(await ask({ event: "roomAdd", room: name })).toMatchObject({
    data: true,
    status: "OK",
    context: "response",
  });
  expect(await ask({ event: "roomView" })).toMatchObject({
    data: { room: name, membersCount: 1 },
  });
  expect(await ask({ event: "roomLeave", room: name })).toMatchObject({
    data: true,
  });
  await chatRoom.destroy(name);
});

test("an action of the documentation lets HTTP clients talk", async () => {
  const member = await websocketMember();
  const [, source] = /```ts\n((?:(?!```)[^])*class Say [^]*?)```/.exec(
    fs.readFileSync(path.join(repositoryRoot, "docs/chat.md"), "utf8"),
  )!;
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.CommonJS },
  });
  const exported: { Say?: new () => Action } = {};
  vm.runInNewContext(outputText, {
    require: () => ({ Action, chatRoom }),
    exports: exported,
  });
  const say = new exported.Say!();
  api.actions.actions[say.name] = { 1: say };
  api.actions.versions[say.name] = [1];
  api.params.buildPostVariables();

  api.routes.routes.post.push({ path: "/say", action: say.name });
  const url = `http://localhost:${webPort()}/api?action=${say.name}`;
  const ask = async (params: object) => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(params),
    });
    return (await response.json()) as any;
  };
  expect((await ask({ room, message: "hi" })).roomStatus).toMatchObject({
    membersCount: 1,
  });
  await until(() => heard(member.messages).length === 1);
  expect(heard(member.messages)[0]).toMatchObject({ message: "hi", from: "0" });
  expect((await ask({ room: "none", message: "hi" })).error).toMatch(
    /room does not exist/,
  );
});

const big = "x".repeat(64 * 1024);

/** Talk until the member is gone; the reader keeps up. */
async function talkTo(slow: Connection, heardByReader: () => number) {
  let mostBuffered = 0;
  for (let count = 1; !slow.destroyed; count++) {
    if (count > 1000) throw new Error("it is never disconnected");
    await chatRoom.broadcast({}, room, big);
    await until(() => heardByReader() === count);
    mostBuffered = Math.max(mostBuffered, bufferedOf(slow));
  }
  return mostBuffered;
}

function expectToBeCut(slow: Connection, mostBuffered: number): void {
  expect(mostBuffered).toBeLessThan(1024 * 1024 + 4 * big.length);
  expect(log.matching(/a slow consumer/)).toEqual([
    expect.stringMatching(new RegExp(`^disconnecting ${slow.id}, .*1048576`)),
  ]);
  expect(log.lines.at(-1)).toMatchObject({ type: slow.type });
}

test("a websocket member that does not read is disconnected, and soon forgotten", async () => {
  const slow = await websocketMember();
  const [connection] = connections("websocket");
  slow.ws.pause();
  const reader = await websocketMember();
  const mostBuffered = await talkTo(
    connection,
    () => heard(reader.messages).length,
  );
  expectToBeCut(connection, mostBuffered);
  const status = await chatRoom.roomStatus(room);
  expect(status.membersCount).toBe(1);
  expect(connections("websocket")).toHaveLength(1);
});

test("a TCP member that does not read is disconnected, and soon forgotten", async () => {
  const slow = await socketMember();
  const [connection] = socketServer().connections();
  slow.socket.pause();
  const reader = await websocketMember();
  const mostBuffered = await talkTo(
    connection,
    () => heard(reader.messages).length,
  );
  expectToBeCut(connection, mostBuffered);
  slow.socket.destroy();
  await allGone();
  const status = await chatRoom.roomStatus(room);
  expect(status.membersCount).toBe(1);
});

test("a hundred websocket members that vanish at once are out of the room", async () => {
  const members = await Promise.all(
    Array.from({ length: 100 }, websocketMember),
  );
  expect((await chatRoom.roomStatus(room)).membersCount).toBe(100);
  for (const { ws } of members) ws.terminate();
  await until(async () => (await chatRoom.roomStatus(room)).membersCount === 0);
  expect(api.chatRoom.index.rooms).toEqual([]);
});
