/** Chat between processes: two nodes of ours and one of version 29, on one redis. */
import { describeOnRedisWithPeers } from "../support/peers";
import { RedisServer } from "../support/redisServer";
import { RemoteNode } from "../support/remoteNode";
import { until } from "../support/until";
import { startV29Node } from "../support/v29Node";

/** A client on some node, by its connection's id there. */
interface Client {
  node: RemoteNode;
  id: string;
}

async function connect(node: RemoteNode, ...rooms: string[]): Promise<Client> {
  const id = await node.run(async ({ specHelper }) => {
    const connection = await specHelper.buildConnection();
    return connection.id as string;
  });
  for (const room of rooms) await verb({ node, id }, "roomAdd", room);
  return { node, id };
}

function verb({ node, id }: Client, name: string, ...words: string[]) {
  return node.run(
    ({ api }, id, name, words) =>
      api.connections.connections[id].verbs(name, words) as Promise<any>,
    id,
    name,
    words,
  );
}

function roomsOf({ node, id }: Client): Promise<string[]> {
  return node.run(
    ({ api }, id) => api.connections.connections[id].rooms as string[],
    id,
  );
}

function said({ node, id }: Client): Promise<any[]> {
  return node.run(
    ({ api }, id) =>
      api.connections.connections[id].messages.filter(
        (one: any) => one.context === "user",
      ) as any[],
    id,
  );
}

/** Wait until a client has heard this. */
function heard(client: Client, message: string): Promise<any> {
  return until(async () =>
    (await said(client)).find((one) => one.message === message),
  );
}

function quit({ node, id }: Client): Promise<unknown> {
  return node.run(
    ({ api }, id) => api.connections.connections[id].destroy(),
    id,
  );
}

function channelsOf(node: RemoteNode): Promise<string[]> {
  return node.run(({ api }) => [...(api.redis.channels as string[])].sort());
}

async function membersAt(node: RemoteNode, room: string): Promise<string[]> {
  const { members, membersCount } = await node.run(
    ({ chatRoom }, room) => chatRoom.roomStatus(room) as Promise<any>,
    room,
  );
  const ids = Object.keys(members as object);
  expect(membersCount).toBe(ids.length);
  return ids.sort();
}

describeOnRedisWithPeers("chat between nodes", () => {
  const redis = new RedisServer();
  let ours: RemoteNode;
  let other: RemoteNode;
  let old: RemoteNode;
  const nodes: RemoteNode[] = [];

  /** Wait until a node of ours is in the register, which may have been lost; only then can it be missed. */
  function isRegistered(title: string): Promise<unknown> {
    return until(() =>
      ours.run(
        async ({ api }, title) =>
          (await api.cluster.nodes()).some(({ id }: any) => id === title),
        title,
      ),
    );
  }

  beforeAll(async () => {
    await redis.start();
    const overrides = {
      general: { rpcTimeout: 4_000 },
      redis: { heartbeatInterval: 500, heartbeatTimeout: 2_500 },
    };
    const redisUrl = redis.url;
    ours = await RemoteNode.start({ redisUrl, title: "ours", overrides });
    nodes.push(ours);
    other = await RemoteNode.start({ redisUrl, title: "other", overrides });
    nodes.push(other);
    const { general } = overrides;
    old = await startV29Node({
      redisUrl,
      title: "old",
      overrides: { general },
    });
    nodes.push(old);
  }, 90_000);

  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.kill()));
    await redis.stop();
  });

  test("a message reaches the members on every node, once, and in the same form", async () => {
    const clients = await Promise.all(
      nodes.map((node) => connect(node, "defaultRoom")),
    );
    for (const sender of clients) {
      await verb(sender, "say", "defaultRoom", "from", sender.id);
      const forms: any[] = [];
      for (const client of clients)
        forms.push(await heard(client, `from ${sender.id}`));
      for (const form of forms) expect(form).toEqual(forms[0]);
      expect(forms[0]).toEqual({
        message: `from ${sender.id}`,
        room: "defaultRoom",
        from: sender.id,
        context: "user",
        sentAt: expect.any(Number),
      });
    }
    for (const client of clients) expect(await said(client)).toHaveLength(3);
    await Promise.all(clients.map(quit));
  });

  test("every node sees the members of all", async () => {
    const clients = await Promise.all(
      nodes.map((node) => connect(node, "defaultRoom")),
    );
    const ids = clients.map(({ id }) => id).sort();
    for (const node of nodes)
      expect(await membersAt(node, "defaultRoom")).toEqual(ids);
    await Promise.all(clients.map(quit));
    for (const node of nodes)
      expect(await membersAt(node, "defaultRoom")).toEqual([]);
  });

  test("members are added and removed from another node; refusals come back as errors", async () => {
    const client = await connect(ours);
    const ask = (node: RemoteNode, name: string) =>
      node.run(
        ({ chatRoom }, name, id) => chatRoom[name](id, "defaultRoom"),
        name,
        client.id,
      );
    for (const node of [other, old]) {
      expect(await ask(node, "addMember")).toBe(true);
      expect(await roomsOf(client)).toEqual(["defaultRoom"]);
      expect(await ask(node, "removeMember")).toBe(true);
      expect(await roomsOf(client)).toEqual([]);
    }
    await expect(ask(other, "removeMember")).rejects.toThrow(
      "connection not in this room (defaultRoom)",
    );
    await quit(client);
    await expect(ask(other, "addMember")).rejects.toThrow("RPC Timeout");
  });

  test("a member on a node of version 29 can be removed", async () => {
    const client = await connect(old, "defaultRoom");
    await ours.run(
      ({ chatRoom }, id) => chatRoom.removeMember(id, "defaultRoom"),
      client.id,
    );
    expect(await roomsOf(client)).toEqual([]);
    await quit(client);
  });

  test("members on every node leave a destroyed room after a notification", async () => {
    for (const node of nodes) {
      await node.run(({ chatRoom }) => chatRoom.add("doomed"));
      const clients = await Promise.all(
        [...nodes, ...nodes].map((one) => connect(one, "doomed")),
      );
      await node.run(({ chatRoom }) => chatRoom.destroy("doomed"));
      for (const client of clients) {
        await heard(client, "this room has been deleted");
        // version 29 does not wait for the others
        await until(async () => (await roomsOf(client)).length === 0);
      }
      await Promise.all(clients.map(quit));
    }
    // what version 29 does after its own removal does not end it, nor us
    for (const node of nodes)
      expect(await node.run(({ chatRoom }) => chatRoom.list())).not.toContain(
        "doomed",
      );
  });

  test("with a channel per room, a node receives only messages of its members' rooms", async () => {
    const ourNodes = [ours, other];
    const set = (isOn: boolean) =>
      Promise.all(
        ourNodes.map((node) =>
          node.run(({ config }, isOn) => {
            config.redis.chatChannelPerRoom = isOn;
          }, isOn),
        ),
      );
    await set(true);
    const here = await connect(ours, "defaultRoom");
    const there = await connect(other, "defaultRoom", "otherRoom");
    expect(await channelsOf(ours)).toEqual(["actionhero:chat:defaultRoom"]);
    expect(await channelsOf(other)).toEqual([
      "actionhero:chat:defaultRoom",
      "actionhero:chat:otherRoom",
    ]);
    await verb(here, "say", "defaultRoom", "to", "all");
    await heard(here, "to all");
    await heard(there, "to all");
    await Promise.all([here, there].map(quit));
    for (const node of ourNodes) expect(await channelsOf(node)).toEqual([]);
    await set(false);
  });

  test("rooms and members are restored in a redis that restarted without its data", async () => {
    await ours.run(({ chatRoom }) => chatRoom.add("kept"));
    const here = await connect(ours, "defaultRoom", "kept");
    const there = await connect(other, "defaultRoom");
    await redis.restart();
    await until(async () => {
      const ids = await membersAt(ours, "defaultRoom").catch(() => []);
      return ids.length === 2;
    });
    await until(async () => (await membersAt(ours, "kept")).length === 1);
    expect(await membersAt(other, "defaultRoom")).toEqual(
      [here.id, there.id].sort(),
    );
    let count = 0;
    await until(async () => {
      // the other side may not have subscribed again yet
      await verb(here, "say", "defaultRoom", `again ${count++}`);
      return (await said(there)).length > 0;
    });
    await Promise.all([here, there].map(quit));
  });

  test("rooms and members are restored in a redis that was emptied, and a destroyed room is not", async () => {
    await ours.run(({ chatRoom }) => chatRoom.add("emptied"));
    const here = await connect(ours, "emptied");
    const there = await connect(other, "emptied");
    for (const node of ["ours", "other"]) await isRegistered(node);
    await ours.run(({ api }) => api.redis.clients.client.flushall());
    await until(
      async () =>
        (await membersAt(ours, "emptied").catch(() => [])).length === 2,
      20_000,
    );
    expect(await membersAt(other, "emptied")).toEqual(
      [here.id, there.id].sort(),
    );
    await ours.run(({ chatRoom }) => chatRoom.destroy("emptied"));
    await ours.run(({ api }) => api.chatRoom.restoreMembers());
    expect(await ours.run(({ chatRoom }) => chatRoom.list())).not.toContain(
      "emptied",
    );
    await Promise.all([here, there].map(quit));
  }, 60_000);

  test("a node that was frozen for so long that it counted as dead has its members again", async () => {
    const here = await connect(ours, "defaultRoom");
    const there = await connect(other, "defaultRoom");
    await isRegistered("other");
    other.pause();
    await until(async () => {
      const ids = await membersAt(ours, "defaultRoom");
      return ids.length === 1 && ids[0] === here.id;
    }, 20_000);
    other.resume();
    await until(async () => {
      const ids = await membersAt(ours, "defaultRoom");
      return ids.includes(there.id);
    }, 20_000);
    await Promise.all([here, there].map(quit));
  }, 60_000);

  test("the members of a node that is killed are gone; those of version 29 stay", async () => {
    const here = await connect(ours, "defaultRoom");
    const lost = await connect(other, "defaultRoom");
    const theirs = await connect(old, "defaultRoom");
    expect(await membersAt(ours, "defaultRoom")).toContain(lost.id);
    await isRegistered("other");
    await other.kill();
    await until(async () => {
      const ids = await membersAt(old, "defaultRoom");
      return !ids.includes(lost.id);
    }, 20_000);
    expect(await membersAt(ours, "defaultRoom")).toEqual(
      [here.id, theirs.id].sort(),
    );
    await verb(theirs, "say", "defaultRoom", "still", "here");
    await heard(here, "still here");
    await Promise.all([here, theirs].map(quit));
  }, 60_000);
});
