process.env.PORT = "0";

import { api, chatRoom, config, id, Process } from "../../src/index";
import { describeOnEachEngine } from "../support/engines";
import { MemoryServer, type MemoryClient } from "../support/memoryServer";

describeOnEachEngine("the members of a room in redis", (engine) => {
  const server = new Process();
  const rooms = "actionhero:chatRoom:rooms";
  const key = "actionhero:chatRoom:members:defaultRoom";
  let memory: MemoryServer;
  let client: MemoryClient;

  beforeAll(async () => {
    await server.start();
  });
  beforeEach(async () => {
    memory = new MemoryServer().install();
    client = await memory.connect();
    await client.verb("roomAdd", "defaultRoom");
  });
  afterEach(async () => {
    await client.quit();
    await engine.client().del(key);
  });
  afterAll(() => server.stop());

  function write(member: string, host: unknown) {
    const details = JSON.stringify({ id: member, joinedAt: 1, host });
    return engine.client().hset(key, member, details);
  }

  async function listed(): Promise<string[]> {
    return (await engine.client().hkeys(key)).sort();
  }

  test("are reconciled: missing members are added, absent ones removed", async () => {
    await engine.client().del(key);
    await write("of an earlier run", String(id));
    await write("of another", "another");
    await write("of nobody", undefined);
    await api.chatRoom.restoreMembers();
    expect(await listed()).toEqual(
      [client.id, "of another", "of nobody"].sort(),
    );
    const details = JSON.parse((await engine.client().hget(key, client.id))!);
    expect(details).toMatchObject({ id: client.id, host: String(id) });
  });

  test("members of a lost server are removed from all rooms, and no others", async () => {
    await write("one", "lost");
    await write("other", "another");
    await chatRoom.add("second");
    const second = "actionhero:chatRoom:members:second";
    const details = JSON.stringify({ id: "two", joinedAt: 1, host: "lost" });
    await engine.client().hset(second, "two", details);
    expect(await api.chatRoom.removeMembersOfHost("lost")).toBe(2);
    expect(await api.chatRoom.removeMembersOfHost("lost")).toBe(0);
    expect(await listed()).toEqual([client.id, "other"].sort());
    expect(await engine.client().exists(second)).toBe(0);
    await chatRoom.destroy("second");
  });

  test("members leave a room that another node destroyed while this one was disconnected", async () => {
    await engine.client().srem(rooms, "defaultRoom");
    await engine.client().del(key);
    config.general.startingChatRooms = {};
    await api.chatRoom.restoreMembers();
    expect(client.connection.rooms).toEqual([]);
    expect(await chatRoom.exists("defaultRoom")).toBe(false);
    expect(api.chatRoom.index.rooms).toEqual([]);
    await chatRoom.add("defaultRoom");
  });

  test("leaving a destroyed room is refused, but takes effect", async () => {
    await engine.client().srem(rooms, "defaultRoom");
    await expect(client.verb("roomLeave", "defaultRoom")).rejects.toThrow(
      "room does not exist",
    );
    expect(client.connection.rooms).toEqual([]);
    expect(await listed()).toEqual([]);
    await chatRoom.add("defaultRoom");
  });

  test("a stopping server removes its remaining members, and starts without them", async () => {
    const other = await memory.connect();
    await other.verb("roomAdd", "defaultRoom");
    expect(await listed()).toHaveLength(2);
    await server.stop();
    expect(await listed()).toEqual([]);
    await write("of an earlier run", String(id));
    await server.start();
    expect(await listed()).toEqual([]);
    expect(await chatRoom.exists("defaultRoom")).toBe(true);
  });
});
