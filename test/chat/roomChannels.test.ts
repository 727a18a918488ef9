process.env.PORT = "0";

import { api, chatRoom, config, Process } from "../../src/index";
import { describeOnEachEngine } from "../support/engines";
import { MemoryServer, type MemoryClient } from "../support/memoryServer";

describeOnEachEngine("a channel per room", (engine) => {
  const server = new Process();
  let memory: MemoryServer;
  const channel = "actionhero:chat:defaultRoom";

  beforeAll(async () => {
    config.redis.chatChannelPerRoom = true;
    await server.start();
    memory = new MemoryServer().install();
  });
  afterAll(() => server.stop());

  function connect(count: number): Promise<MemoryClient[]> {
    return Promise.all(Array.from({ length: count }, () => memory.connect()));
  }

  /** How many listen to the room, as redis says. */
  async function listeners(): Promise<number> {
    const found = await engine.client().pubsub("NUMSUB", channel);
    return Number(found[1]);
  }

  test("is listened to from the first member until the last has gone", async () => {
    expect(await listeners()).toBe(0);
    const [one, other] = await connect(2);
    await one.verb("roomAdd", "defaultRoom");
    expect(await listeners()).toBe(1);
    await other.verb("roomAdd", "defaultRoom");
    await one.verb("roomLeave", "defaultRoom");
    expect(await listeners()).toBe(1);
    await other.quit();
    expect(await listeners()).toBe(0);
    expect([...api.redis.channels]).toEqual([]);
    await one.quit();
  });

  test("a client that has joined misses no message", async () => {
    const members = await connect(50);
    await Promise.all(
      members.map(async (member) => {
        await member.verb("roomAdd", "defaultRoom");
        await member.verb("say", "defaultRoom", member.id);
      }),
    );
    for (const member of members) {
      while (!member.said.includes(member.id))
        await member.received(member.said.length + 1);
    }
    await Promise.all(members.map((member) => member.quit()));
    expect(await listeners()).toBe(0);
  });

  test("is there after any order of joining and leaving", async () => {
    const members = await connect(20);
    const [last] = members;
    for (let round = 0; round < 10; round++) {
      await Promise.all(
        members.map((member) => member.verb("roomAdd", "defaultRoom")),
      );
      await Promise.all(
        members.map((member) => member.verb("roomLeave", "defaultRoom")),
      );
      const joining = last.verb("roomAdd", "defaultRoom"); // while the channel is closed
      await joining;
      const before = last.said.length;
      await chatRoom.broadcast({}, "defaultRoom", `round ${round}`);
      await last.received(before + 1);
      expect(last.said.at(-1)).toBe(`round ${round}`);
      await last.verb("roomLeave", "defaultRoom");
    }
    await Promise.all(members.map((member) => member.quit()));
    expect(await listeners()).toBe(0);
  });

  test("the members of a destroyed room are notified first", async () => {
    await chatRoom.add("doomed");
    const members = await connect(5);
    for (const member of members) await member.verb("roomAdd", "doomed");
    await chatRoom.destroy("doomed");
    for (const member of members) {
      expect(member.said).toEqual(["this room has been deleted"]);
      expect(member.connection.rooms).toEqual([]);
      await member.quit();
    }
  });

  test("a join that is refused closes it again", async () => {
    await chatRoom.addMiddleware({
      name: "destroyer",
      join: () => engine.client().srem(api.chatRoom.keys.rooms, "doomed"),
    });
    await chatRoom.add("doomed");
    const [member] = await connect(1);
    await expect(member.verb("roomAdd", "doomed")).rejects.toThrow(
      "room does not exist",
    );
    expect([...api.redis.channels]).toEqual([]);
    api.chatRoom.middleware = {};
    api.chatRoom.globalMiddleware = [];
    await member.quit();
  });
});
