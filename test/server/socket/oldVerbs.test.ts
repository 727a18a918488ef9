/** The verbs of version 3, over TCP and over websockets. */
import { closeAll, SocketPeer, startSocketApp } from "../../support/socketApp";
import { connectWebsocket } from "../../support/websocketClient";
import { until } from "../../support/until";
import { api, chatRoom, config, type Process } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: Process;

beforeAll(async () => {
  Object.assign(config.websocket, { verbs: ["roomChange"] });
  app = await startSocketApp({ verbs: ["roomChange"] });
});
afterEach(async () => {
  api.chatRoom.middleware = {};
  api.chatRoom.globalMiddleware = [];
  await closeAll();
});
afterAll(() => app.stop());

async function connect(...rooms: string[]): Promise<SocketPeer> {
  const peer = await SocketPeer.connect();
  await peer.next(); // the welcome
  for (const room of rooms) await peer.ask(`roomAdd ${room}`);
  return peer;
}

const roomsOf = async (peer: SocketPeer) =>
  (await peer.ask("detailsView")).data.rooms;

test("roomView without a room shows the only room of the client", async () => {
  const peer = await connect("defaultRoom");
  const { data } = await peer.ask("roomView");
  expect(data).toMatchObject({ room: "defaultRoom", membersCount: 1 });
  await peer.ask("roomAdd otherRoom");
  expect((await peer.ask("roomView")).error).toMatch(
    /connection not in this room/,
  );
  expect((await peer.ask("roomView otherRoom")).data.membersCount).toBe(1);
});

test("roomChange leaves all rooms, and joins one that it creates if necessary", async () => {
  const peer = await connect("defaultRoom", "otherRoom");
  expect(await chatRoom.exists("newOne")).toBe(false);
  expect(await peer.ask("roomChange newOne")).toEqual({
    status: "OK",
    context: "response",
    data: true,
    room: "newOne",
    messageId: 3,
  });
  expect(await roomsOf(peer)).toEqual(["newOne"]);
  expect((await chatRoom.roomStatus("defaultRoom")).membersCount).toBe(0);
  expect((await peer.ask("roomChange newOne")).status).toBe("OK");
  expect((await peer.ask("roomChange defaultRoom")).room).toBe("defaultRoom");
  expect(await roomsOf(peer)).toEqual(["defaultRoom"]);
});

test("two clients that create the same room at the same time are both in it", async () => {
  const peers = await Promise.all([connect(), connect(), connect()]);
  const answers = await Promise.all(
    peers.map((peer) => peer.ask("roomChange together")),
  );
  for (const { status } of answers) expect(status).toBe("OK");
  expect((await chatRoom.roomStatus("together")).membersCount).toBe(3);
});

test("a refused client stays in its room; a room must be named", async () => {
  await chatRoom.addMiddleware({
    name: "closed",
    join: (_connection, room) => {
      if (room === "closed") throw new Error("members only");
    },
  });
  const peer = await connect("defaultRoom");
  expect((await peer.ask("roomChange closed")).error).toBe("members only");
  expect((await peer.ask("roomChange")).error).toBe("a room is required");
  for (const name of ["__proto__", "constructor"])
    expect((await peer.ask(`roomChange ${name}`)).room).toBe(name);
  await peer.ask("roomChange defaultRoom");
  expect(await roomsOf(peer)).toEqual(["defaultRoom"]);
});

test("roomChange works for websocket clients, too", async () => {
  const client = await connectWebsocket();
  const reply = await client.request({ event: "roomChange", room: "browser" });
  expect(reply).toMatchObject({ status: "OK", data: true, room: "browser" });
  const view = await client.request({ event: "roomView" });
  expect(view.data.room).toBe("browser");
  client.close();
  await client.closed;
});

describe("say without a room", () => {
  test("is an error, as in version 29", async () => {
    const peer = await connect("defaultRoom");
    expect((await peer.ask("say hello all")).error).toBe(
      "connection not in this room (hello)",
    );
  });

  test("goes to the only room with general.sayToOwnRoom", async () => {
    config.general.sayToOwnRoom = true;
    const listener = await connect("defaultRoom");
    const peer = await connect("defaultRoom");
    peer.send("say hello all");
    expect(await listener.next()).toMatchObject({
      room: "defaultRoom",
      message: "hello all",
    });
    peer.send("say defaultRoom hello again");
    expect((await listener.next()).message).toBe("hello again");
  });

  test("requires a room from clients in several rooms, or in no room", async () => {
    config.general.sayToOwnRoom = true;
    const peer = await connect("defaultRoom", "otherRoom");
    expect((await peer.ask("say hello all")).error).toMatch(/not in this room/);
    const nowhere = await connect();
    expect((await nowhere.ask("say hello all")).error).toMatch(
      /not in this room/,
    );
  });
});

describe("socket.legacyReplies", () => {
  test("adds the count, the status and the names of version 3", async () => {
    config.socket.legacyReplies = true;
    const peer = await SocketPeer.connect();
    expect((await peer.next()).messageCount).toBe(0);
    expect(await peer.ask("randomNumber")).toMatchObject({
      status: "OK",
      context: "response",
      messageId: 1,
      messageCount: 1,
    });
    expect(await peer.ask("nothing")).toEqual({
      error: "unknown action or invalid apiVersion",
      context: "response",
      messageId: 2,
      messageCount: 2,
    });
    const params = await peer.ask("paramsView");
    expect(params.params).toEqual(params.data);
    const { details } = await peer.ask("detailsView");
    expect(details.totalActions).toBe(2);
    await peer.ask("roomAdd defaultRoom");
    const { roomStatus } = await peer.ask("roomView defaultRoom");
    expect(roomStatus.membersCount).toBe(1);
  });

  test("a chat message does not increase the count of requests", async () => {
    config.socket.legacyReplies = true;
    const [speaker, listener] = [
      await connect("defaultRoom"),
      await connect("defaultRoom"),
    ];
    speaker.send("say defaultRoom hello");
    expect(await listener.next()).toMatchObject({
      message: "hello",
      messageCount: 1,
    });
  });

  test("the client's own id stays, beside the count", async () => {
    config.socket.legacyReplies = true;
    const peer = await connect();
    const own = { action: "randomNumber", params: { messageId: "mine" } };
    expect(await peer.ask(JSON.stringify(own))).toMatchObject({
      messageId: "mine",
      messageCount: 1,
    });
  });

  test("file takes the param fileName", async () => {
    api.params.postVariables.push("fileName");
    const peer = await connect();
    await peer.ask("paramAdd fileName=simple.html");
    expect((await peer.ask("file")).error).toMatch(/file/);
    config.socket.legacyReplies = true;
    peer.send("file");
    await until(() => peer.text.includes("</html>"));
  });

  test("without the setting, replies have no fields of version 3", async () => {
    const peer = await connect();
    const answer = await peer.ask("randomNumber");
    expect(Object.keys(answer)).toEqual([
      "randomNumber",
      "stringRandomNumber",
      "context",
      "messageId",
    ]);
  });
});
