/** A node of actionhero 29 and one of ours on one redis: each understands the other's messages. */
import { Redis } from "ioredis";
import { describeOnRedisWithPeers } from "../support/peers";
import { RedisServer } from "../support/redisServer";
import { RemoteNode } from "../support/remoteNode";
import { until } from "../support/until";
import { startV29Node } from "../support/v29Node";

const ROOM = "defaultRoom";

describeOnRedisWithPeers("together with version 29", () => {
  const server = new RedisServer();
  let redis: Redis;
  let ours: RemoteNode;
  let old: RemoteNode;

  beforeAll(async () => {
    await server.start();
    redis = new Redis(server.url);
    const options = {
      redisUrl: server.url,
      overrides: {
        redis: { heartbeatInterval: 100, heartbeatTimeout: 2_000 },
        general: { rpcTimeout: 5_000 },
      },
    };
    [ours, old] = await Promise.all([
      RemoteNode.start({ ...options, title: "ours" }),
      startV29Node({ redisUrl: server.url, title: "old" }),
    ]);
    await old.run(({ config }) => {
      config.general.rpcTimeout = 5_000;
    });
  });

  afterAll(async () => {
    await Promise.all([ours.stop(), old.kill()]);
    redis.disconnect();
    await server.stop();
  });

  /** A client of the node; its id. */
  const connect = (node: RemoteNode): Promise<string> =>
    node.run(
      async ({ specHelper }) =>
        (await specHelper.buildConnection()).id as string,
    );

  /** A method on a node, that notes its calls in `api.heard`. */
  const listen = (node: RemoteNode) =>
    node.run(({ api }) => {
      api.heard = [];
      api.note = (...args: unknown[]) => {
        api.heard.push(args);
        return args.length;
      };
    });

  const heardBy = (node: RemoteNode): Promise<unknown[][]> =>
    node.run(({ api }) => api.heard);

  describe.each([
    ["ours", "29", () => [ours, old]],
    ["29", "ours", () => [old, ours]],
  ])("from %s to %s", (_from, _to, pair) => {
    test("connections.apply returns the connection of the other node", async () => {
      const [here, there] = pair();
      const id = await connect(there);
      const found = await here.run(
        ({ api }, id) => api.connections.apply(id),
        id,
      );
      expect(found).toMatchObject({ id, type: "testServer", canChat: true });
      expect(found).not.toHaveProperty("rawConnection");
    });

    test("connections.apply calls its methods", async () => {
      const [here, there] = pair();
      const id = await connect(there);
      const changed = await here.run(
        ({ api }, id) => api.connections.apply(id, "set", ["auth", true]),
        id,
      );
      expect(changed).toMatchObject({ id, auth: true });
      const told = await here.run(
        ({ api }, id) =>
          api.connections.apply(id, "sendMessage", { message: "hi" }),
        id,
      );
      expect(told.messages.at(-1)).toMatchObject({ message: "hi" });
    });

    test("a call without a connection runs on both", async () => {
      const [here, there] = pair();
      await Promise.all([listen(here), listen(there)]);
      await here.run(({ redis }) =>
        redis.doCluster("api.note", [1, { two: "ü" }]),
      );
      for (const node of [here, there]) {
        await until(async () => (await heardBy(node)).length > 0);
        expect(await heardBy(node)).toEqual([[1, { two: "ü" }]]);
      }
    });

    test("members are moved by the other node, too", async () => {
      const [here, there] = pair();
      const id = await connect(there);
      await there.run(
        ({ chatRoom }, id, room) => chatRoom.addMember(id, room),
        id,
        ROOM,
      );
      const members = await here.run(
        async ({ chatRoom }, room) =>
          Object.keys((await chatRoom.roomStatus(room)).members),
        ROOM,
      );
      expect(members).toContain(id);
      await here.run(
        ({ chatRoom }, id, room) => chatRoom.removeMember(id, room),
        id,
        ROOM,
      );
      const rooms = await there.run(
        ({ api }, id) => api.connections.connections[id].rooms,
        id,
      );
      expect(rooms).toEqual([]);
    });

    test("messages of another token are ignored", async () => {
      const [here, there] = pair();
      await Promise.all([listen(here), listen(there)]);
      await here.run(async ({ redis, config }) => {
        const token = config.general.serverToken;
        config.general.serverToken = "of another cluster";
        await redis.doCluster("api.note", ["foreign"]);
        config.general.serverToken = token;
        await redis.doCluster("api.note", ["own"]);
      });
      await until(async () => (await heardBy(there)).length > 0);
      expect(await heardBy(there)).toEqual([["own"]]);
    });
  });

  test("what a node of ours throws reaches ours, and 29 hears of an end instead of a time-out", async () => {
    const id = await connect(ours);
    const fail = ({ redis }: any, id: string) =>
      redis.doCluster(
        "api.connections.applyResponder",
        [id, "nope", []],
        id,
        true,
      );
    await expect(ours.run(fail, id)).rejects.toThrow(
      "nope is not a method of a connection",
    );
    await expect(old.run(fail, id)).resolves.toBeUndefined();
    expect(old.lines.join("\n")).not.toContain("unhandledRejection");
  });

  test("its nodes are no members of the register, and their members stay", async () => {
    const id = await connect(old);
    await old.run(
      ({ chatRoom }, id, room) => chatRoom.addMember(id, room),
      id,
      ROOM,
    );
    const seen = await ours.run(({ api }) => api.cluster.nodes());
    expect(seen.map((node: { id: string }) => node.id)).toEqual(["ours"]);
    // a node of ours dies: what is cleared up is what it left
    const doomed = await RemoteNode.start({
      redisUrl: server.url,
      title: "doomed",
      overrides: { redis: { heartbeatInterval: 100, heartbeatTimeout: 2_000 } },
    });
    const lost = await connect(doomed);
    await doomed.run(
      ({ chatRoom }, id, room) => chatRoom.addMember(id, room),
      lost,
      ROOM,
    );
    await doomed.kill();
    await until(
      async () =>
        !(await redis.hkeys(`actionhero:chatRoom:members:${ROOM}`)).includes(
          lost,
        ),
    );
    expect(await redis.hkeys(`actionhero:chatRoom:members:${ROOM}`)).toContain(
      id,
    );
  });
});
