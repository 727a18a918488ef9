/** A cluster of real processes: what is seen of one that is killed or frozen. */
import { Redis } from "ioredis";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { RemoteNode, type RemoteNodeOptions } from "../support/remoteNode";
import { until } from "../support/until";

const ROOM = "a room: with ünicode";
const MEMBERS = "actionhero:chatRoom:members:";
/** Long enough for a node on a busy machine, short enough for a test. */
const HEARTBEATS = { heartbeatInterval: 200, heartbeatTimeout: 2_000 };

describeOnRedis("a cluster of processes", () => {
  const server = new RedisServer();
  let redis: Redis;
  let survivor: RemoteNode;
  const others: RemoteNode[] = [];

  beforeAll(async () => {
    await server.start();
    redis = new Redis(server.url);
    survivor = await start("survivor");
    await survivor.run(({ chatRoom }, room) => chatRoom.add(room), ROOM);
  });

  afterEach(async () => {
    await Promise.all(others.splice(0).map((node) => node.kill()));
  });

  afterAll(async () => {
    await survivor.stop();
    redis.disconnect();
    await server.stop();
  });

  function start(
    title?: string,
    options: Partial<RemoteNodeOptions> = {},
  ): Promise<RemoteNode> {
    return RemoteNode.start({
      redisUrl: server.url,
      title,
      overrides: { redis: HEARTBEATS },
      ...options,
    });
  }

  async function startOther(title?: string): Promise<RemoteNode> {
    const node = await start(title);
    others.push(node);
    return node;
  }

  /** Give the node a client that is in the room; returns the client's id. */
  function addMember(node: RemoteNode): Promise<string> {
    return node.run(async ({ specHelper, chatRoom }, room) => {
      const connection = await specHelper.buildConnection();
      await chatRoom.addMember(connection.id, room);
      return connection.id as string;
    }, ROOM);
  }

  const nodeIds = () =>
    survivor.run(async ({ api }) =>
      (await api.cluster.nodes()).map(({ id }: { id: string }) => id),
    ) as Promise<string[]>;

  const memberIds = () =>
    survivor.run(
      async ({ chatRoom }, room) =>
        Object.keys((await chatRoom.roomStatus(room)).members),
      ROOM,
    );

  /** Wait until the survivor sees these: who stands still for long is missed, and comes back. */
  async function untilSeen(
    what: () => Promise<string[]>,
    ids: string[],
  ): Promise<void> {
    const sorted = JSON.stringify([...ids].sort());
    await until(async () => JSON.stringify((await what()).sort()) === sorted);
  }

  test("nodes see each other, until one leaves", async () => {
    const other = await startOther("other");
    await untilSeen(nodeIds, ["survivor", "other"]);
    await other.stop();
    others.length = 0;
    await untilSeen(nodeIds, ["survivor"]);
    await survivor.saw(/actionhero member other has left the cluster/);
  });

  test("processes of one host without a title have different ids", async () => {
    const [one, two] = await Promise.all([startOther(), startOther()]);
    const ids = await Promise.all(
      [one, two].map((node) => node.run(({ id }) => id as string)),
    );
    expect(ids[0]).toMatch(new RegExp(`^[^ ]+:${one.pid}$`));
    expect(ids[1]).toMatch(new RegExp(`^[^ ]+:${two.pid}$`));
    await untilSeen(nodeIds, ["survivor", ...ids]);
  });

  test("of a node that is killed nothing stays: not itself, not its members, not its connections", async () => {
    const doomed = await startOther("doomed");
    const stays = await addMember(survivor);
    const goes = await addMember(doomed);
    // a node of version 29 has no heartbeat, so nobody can say that it is dead
    await redis.hset(
      MEMBERS + ROOM,
      "of an old node",
      JSON.stringify({ id: "of an old node", joinedAt: 1, host: "old node" }),
    );
    await untilSeen(memberIds, [stays, goes, "of an old node"]);

    await doomed.kill();
    others.length = 0;
    await until(async () => !(await memberIds()).includes(goes));
    await until(async () => (await nodeIds()).length === 1);
    await untilSeen(memberIds, [stays, "of an old node"]);
    await survivor.saw(/node doomed has sent no heartbeat for 2000 ms/);
    expect(await redis.hkeys("{actionhero:cluster}:actionhero:nodes")).toEqual([
      "survivor",
    ]);

    const apply = survivor.run(({ api, config }, id) => {
      config.general.rpcTimeout = 200;
      return api.connections.apply(id);
    }, goes);
    await expect(apply).rejects.toMatchObject({
      message: "RPC Timeout",
      code: "AH_RPC_TIMEOUT",
    });
  });

  test("a second process of one id leaves the members of the first alone while that lives, and no longer", async () => {
    const first = await startOther("twin");
    const member = await addMember(first);
    const second = await startOther("twin");
    const own = await addMember(second);
    const both = async () => {
      const ids = await memberIds();
      return ids.includes(member) && ids.includes(own);
    };
    await until(both);
    await first.saw(/another process has the id twin/);
    await second.saw(/another process has the id twin/);
    await second.run(({ api }) => api.chatRoom.restoreMembers());
    expect(await both()).toBe(true);

    await first.kill();
    await until(async () => !(await memberIds()).includes(member));
    await until(async () => (await memberIds()).includes(own));
  });

  test("a process that is started again after a crash, under its name, has done with its members at once", async () => {
    const crashed = await startOther("again");
    const member = await addMember(crashed);
    await crashed.kill();
    await startOther("again");
    expect(await memberIds()).not.toContain(member);
  });

  test("a node that was frozen is missed, and when it goes on its members are back", async () => {
    const frozen = await startOther("frozen");
    const member = await addMember(frozen);
    frozen.pause();
    await until(async () => !(await memberIds()).includes(member));
    await until(async () => !(await nodeIds()).includes("frozen"));
    frozen.resume();
    await until(async () => (await memberIds()).includes(member));
    await frozen.saw(/the cluster had lost this node; it is back/);
    await until(async () => (await nodeIds()).includes("frozen"));
  });

  test("connections.apply reaches a connection on another node, errors included", async () => {
    const other = await startOther("other");
    const id = await addMember(other);
    await survivor.run(({ config }) => {
      config.general.rpcTimeout = 5_000;
    });
    const copy = await survivor.run(
      ({ api }, id) => api.connections.apply(id, "set", ["auth", true]),
      id,
    );
    expect(copy).toMatchObject({ id, auth: true, rooms: [ROOM] });
    await expect(
      survivor.run(
        ({ api }, id) => api.connections.apply(id, "noSuchMethod", []),
        id,
      ),
    ).rejects.toThrow("noSuchMethod is not a method of a connection");
  });
});
