process.env.PORT = "0";

import {
  api,
  chatRoom,
  config,
  Process,
  redis,
  type ChatPubSubMessage,
} from "../../src/index";
import { resolveApiMethod } from "../../src/api";
import { describeOnEachEngine } from "../support/engines";
import { LogLines } from "../support/logLines";
import { MemoryServer } from "../support/memoryServer";

const NAMES: Record<string, string> = {
  spaces: "a room with spaces",
  "spaces around": " room ",
  colons: "a:b::c:",
  unicode: "дом 家 🏠",
  "line breaks": "a\r\nb\n",
  "a null character": "a\0b",
  globs: "*[a-z]?",
  json: '{"a":"b"}',
  "10 KB": "x".repeat(10 * 1024),
  prototype: "__proto__",
  constructor: "constructor",
  toString: "toString",
  hasOwnProperty: "hasOwnProperty",
  "a number": "17",
};

describeOnEachEngine("names of rooms", (engine) => {
  const server = new Process();
  let memory: MemoryServer;

  beforeAll(async () => {
    await server.start();
    memory = new MemoryServer().install();
    config.general.rpcTimeout = 200;
  });
  afterAll(() => server.stop());

  async function isRoomForMembers(name: string): Promise<void> {
    expect(await chatRoom.exists(name)).toBe(false);
    await chatRoom.add(name);
    expect(await chatRoom.list()).toContain(name);

    const one = await memory.connect();
    const other = await memory.connect();
    for (const member of [one, other])
      expect(await member.verb("roomAdd", name)).toBe(true);
    expect(one.connection.rooms).toEqual([name]);

    const status = await one.verb("roomView", name);
    expect(status.room).toBe(name);
    expect(Object.keys(status.members).sort()).toEqual(
      [one.id, other.id].sort(),
    );

    await one.verb("say", name, "hi");
    const [heard] = await other.received(1);
    expect(heard).toMatchObject({ message: "hi", room: name, from: one.id });

    expect(await one.verb("roomLeave", name)).toBe(true);
    await other.quit();
    expect((await chatRoom.roomStatus(name)).membersCount).toBe(0);
    await chatRoom.destroy(name);
    expect(await chatRoom.exists(name)).toBe(false);
    expect(await engine.client().keys("actionhero:chatRoom:members:*")).toEqual(
      [],
    );
    await one.quit();
  }

  test.each(Object.entries(NAMES))("%s", (_kind, name) =>
    isRoomForMembers(name),
  );

  engine.only(
    "embedded",
    "as redis keeps a replacement character for half a surrogate pair",
    () => {
      test("a room name may have half a surrogate pair", () =>
        isRoomForMembers("\ud83c"));
    },
  );

  test.each(["constructor", "toString"])(
    "a connection may be called %s",
    async (id) => {
      const client = await memory.connect(id);
      await expect(chatRoom.addMember(`${id}x`, "defaultRoom")).rejects.toThrow(
        "RPC Timeout",
      );
      await client.verb("roomAdd", "defaultRoom");
      const { members, membersCount } =
        await chatRoom.roomStatus("defaultRoom");
      expect(membersCount).toBe(1);
      expect(Object.keys(members)).toEqual([id]);
      await client.quit();
    },
  );

  test("a member whose connection has a peculiar id is listed", async () => {
    const key = `${api.chatRoom.keys.members}defaultRoom`;
    const details = JSON.stringify({ id: "__proto__", joinedAt: 1, host: "h" });
    await engine.client().hset(key, "__proto__", details);
    await engine.client().hset(key, "toString", details);
    await engine.client().hset(key, "broken", "{");
    await engine.client().hset(key, "number", "5");
    const { members, membersCount } = await chatRoom.roomStatus("defaultRoom");
    const shown = { id: "__proto__", joinedAt: 1 };
    expect(Object.entries(members)).toEqual([
      ...(engine.embedded ? [] : [["__proto__", shown]]), // that engine drops it
      ["toString", shown],
    ]);
    expect(membersCount).toBe(engine.embedded ? 1 : 2);
    expect(({} as any).joinedAt).toBeUndefined();
    await engine.client().del(key);
  });

  test("a middleware of a peculiar name is one like any other", async () => {
    const join = jest.fn();
    await chatRoom.addMiddleware({ name: "constructor", join });
    const client = await memory.connect();
    await client.verb("roomAdd", "defaultRoom");
    expect(join).toHaveBeenCalledTimes(1);
    api.chatRoom.middleware = {};
    api.chatRoom.globalMiddleware = [];
    await client.quit();
  });

  test("malformed messages are skipped", async () => {
    const log = new LogLines("warning");
    const client = await memory.connect();
    await client.verb("roomAdd", "defaultRoom");
    const { serverToken } = config.general;
    const wrong = [
      { messageType: "chat", serverToken },
      { messageType: "chat", serverToken, connection: null },
      { messageType: "chat", serverToken, connection: { room: 5 } },
      { messageType: "chat", serverToken, connection: { room: "__proto__" } },
      { messageType: "chat", serverToken: "of others" },
    ];
    for (const message of wrong) await redis.publish(message);
    await chatRoom.broadcast({}, "defaultRoom", "right");
    await client.received(1);
    expect(client.said).toEqual(["right"]);
    expect(log.lines).toEqual([]);
    log.stop();
    await client.quit();
  });
});

describeOnEachEngine("calls to other nodes", () => {
  const server = new Process();
  let memory: MemoryServer;

  beforeAll(async () => {
    await server.start();
    memory = new MemoryServer().install();
  });
  afterAll(() => server.stop());

  test("every name that chat sends resolves", () => {
    for (const name of ["addMember", "removeMember"])
      expect(resolveApiMethod(`api.chatRoom.${name}`)?.owner).toBe(
        api.chatRoom,
      );
  });

  test("members are added and removed over the channel", async () => {
    const { id, connection } = await memory.connect();
    const call = (method: string) =>
      redis.doCluster(`api.chatRoom.${method}`, [id, "defaultRoom"], id, true);
    expect(await call("addMember")).toBe(true);
    expect(connection.rooms).toEqual(["defaultRoom"]);
    await expect(call("addMember")).rejects.toThrow(
      "connection already in this room (defaultRoom)",
    );
    expect(await call("removeMember")).toBe(true);
    await expect(call("removeMember")).rejects.toThrow(
      "connection not in this room (defaultRoom)",
    );
    await connection.destroy();
  });

  test("a function that the project puts in its place is called, with the same arguments", async () => {
    const { id, connection } = await memory.connect();
    await chatRoom.addMember(id, "defaultRoom");
    const remove = jest.spyOn(api.chatRoom, "removeMember");
    await redis.doCluster(
      "api.chatRoom.removeMember",
      [id, "defaultRoom"],
      id,
      true,
    );
    expect(remove.mock.calls).toEqual([[id, "defaultRoom"]]);
    remove.mockRestore();
    await connection.destroy();
  });

  test("a replaced incomingMessage is called, too", async () => {
    const { incomingMessage } = api.chatRoom;
    const heard: ChatPubSubMessage[] = [];
    api.chatRoom.incomingMessage = (message) => void heard.push(message);
    await chatRoom.broadcast({}, "defaultRoom", "hi");
    await redis.doCluster("api.chatRoom.roomStatus", ["defaultRoom"], "", true);
    expect(heard).toMatchObject([{ message: "hi" }]);
    api.chatRoom.incomingMessage = incomingMessage;
  });
});
