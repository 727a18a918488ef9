process.env.LOG_LEVEL = "emerg"; // what is logged is looked at, not shown

import { spawnSync } from "child_process";
import * as os from "os";
import { api } from "../../src/api";
import {
  createCluster,
  joinNodes,
  leaveNodes,
} from "../../src/cluster/cluster";
import {
  claimCleanUp,
  readNodes,
  removeNode,
  writeHeartbeat,
  type ClusterNode,
  type NodeRecord,
} from "../../src/cluster/register";
import { config, id } from "../../src/config/config";
import { noteSkew } from "../../src/redis/outages";
import { connectRedis, leaveCluster } from "../../src/redis/lifecycle";
import { describeOnEachEngine } from "../support/engines";
import { LogLines } from "../support/logLines";
import { until } from "../support/until";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const REGISTER = "{actionhero:cluster}:actionhero:nodes";

describeOnEachEngine("membership", (engine) => {
  let logs: LogLines;
  let lost: ClusterNode[];

  beforeAll(async () => {
    logs = new LogLines();
    await connectRedis();
  });

  beforeEach(async () => {
    logs.lines.length = 0;
    await engine.flush();
    Object.assign(config.redis, {
      heartbeatInterval: 30,
      heartbeatTimeout: 500,
    });
    lost = [];
    createCluster();
    api.cluster.onNodeLost((node) => lost.push(node));
  });

  afterEach(() => leaveNodes());

  afterAll(async () => {
    await leaveCluster();
    logs.stop();
  });

  /** A node as one that has died since: it wrote one heartbeat. */
  function record(other: Partial<NodeRecord> = {}): NodeRecord {
    return {
      id: "other",
      instance: "1",
      host: "h",
      pid: 1,
      version: "30.0.0",
      startedAt: Date.now(),
      timeout: 200,
      connections: 0,
      ...other,
    };
  }

  const ids = async () => (await api.cluster.nodes()).map((node) => node.id);

  test("a clean-up is claimed by one node, which may ask again when the answer was lost", async () => {
    expect(await claimCleanUp("gone", "a")).toBe(true);
    expect(await claimCleanUp("gone", "b")).toBe(false);
    expect(await claimCleanUp("gone", "a")).toBe(true);
  });

  test("a node is listed with its details", async () => {
    api.connections = { table: { count: 2 } } as never;
    const before = Date.now();
    await joinNodes();
    const [node, ...others] = await api.cluster.nodes();
    expect(others).toEqual([]);
    expect(node).toMatchObject({
      id,
      pid: process.pid,
      version: "30.0.0",
      timeout: 500,
      connections: 2,
    });
    expect(Math.abs(node.seenAt - before)).toBeLessThan(5_000);
  });

  test("a node sends heartbeats", async () => {
    await joinNodes();
    const [{ seenAt }] = await api.cluster.nodes();
    await until(async () => {
      const [node] = await api.cluster.nodes();
      return node.seenAt > seenAt;
    });
  });

  test("nodes are listed oldest first", async () => {
    await joinNodes();
    await writeHeartbeat(
      record({ id: "young", startedAt: Date.now() + 1e6, timeout: 9e9 }),
    );
    await writeHeartbeat(record({ id: "old", startedAt: 1, timeout: 9e9 }));
    expect(await ids()).toEqual(["old", id, "young"]);
  });

  test("a silent node is removed from the list, and cleaned up after once", async () => {
    await writeHeartbeat(record());
    expect(await ids()).toEqual(["other"]);
    await joinNodes();
    await until(async () => (await readNodes()).nodes.length === 1);
    expect(await ids()).toEqual([id]);
    expect(lost).toEqual([expect.objectContaining({ id: "other", pid: 1 })]);
    expect(
      logs.at("alert", /^node other has sent no heartbeat for 200 ms/),
    ).toHaveLength(1);
  });

  engine.only("redis", "as the embedded engine has no other nodes", () => {
    test("a node that was seen later than now is lost in time: the clock of redis was set back", async () => {
      const seenAt = Date.now() + 3_600_000;
      const text = `${seenAt} ${JSON.stringify(record())}`;
      const register = "{actionhero:cluster}:actionhero:nodes";
      await engine.client().hset(register, "other", text);
      expect(await ids()).toEqual(["other"]);
      await joinNodes();
      await until(async () => (await readNodes()).nodes.length === 1);
      expect(lost).toEqual([expect.objectContaining({ id: "other" })]);
    });

    test("a wrong clock of a host without workers is logged once at the start, and when it is right again", async () => {
      const clock = Date.now.bind(Date);
      const now = jest
        .spyOn(Date, "now")
        .mockImplementation(() => clock() - 60_000);
      try {
        await joinNodes();
        const [{ seenAt }] = await api.cluster.nodes();
        const text =
          /^the clock of this host is (59|60)\d{3} ms behind that of redis/;
        expect(logs.at("warning", text)).toHaveLength(1);
        await until(async () => (await api.cluster.nodes())[0].seenAt > seenAt);
        noteSkew(api.redis.clients.tasks, -60_000); // of workers
        expect(logs.at("warning", text)).toHaveLength(1);
      } finally {
        now.mockRestore();
      }
      const end = /^the clock of this host is that of redis again$/;
      await until(() => logs.at("notice", end).length === 1);
    });
  });

  test("what fails while clearing up is repeated, and does not keep other hooks from running", async () => {
    const failing = jest.fn().mockRejectedValueOnce(new Error("not yet"));
    const next = jest.fn();
    api.cluster.onNodeLost(failing);
    api.cluster.onNodeLost(next);
    await writeHeartbeat(record());
    await joinNodes();
    await until(async () => (await readNodes()).nodes.length === 1);
    expect(failing).toHaveBeenCalledTimes(2);
    expect(next).toHaveBeenCalledTimes(2);
    expect(
      logs.matching(/hook of the cluster failed: Error: not yet/),
    ).toHaveLength(1);
  });

  test("while another node clears up, this one does not", async () => {
    await engine
      .client()
      .set("{actionhero:cluster}:actionhero:lost:other", "third");
    await writeHeartbeat(record());
    await joinNodes();
    await until(async () => !(await ids()).includes("other"));
    const [{ seenAt }] = await api.cluster.nodes();
    await until(
      async () => (await api.cluster.nodes())[0].seenAt > seenAt + 100,
    );
    expect(lost).toEqual([]);
  });

  test("a node that was removed registers again, and is notified", async () => {
    const returned = jest.fn();
    api.cluster.onReturn(returned);
    await joinNodes();
    expect(returned).not.toHaveBeenCalled();
    await removeNode(id);
    await until(() => returned.mock.calls.length > 0);
    expect(await ids()).toEqual([id]);
    expect(logs.at("warning", /the cluster had lost this node/)).toHaveLength(
      1,
    );
  });

  test("a node that leaves is gone at once, without being missed", async () => {
    await joinNodes();
    await leaveNodes();
    expect(await readNodes()).toMatchObject({ nodes: [] });
    await leaveNodes(); // a second time is no error
    expect(await readNodes()).toMatchObject({ nodes: [] });
  });

  test("two processes of one id are told apart, and the log says so once", async () => {
    await joinNodes();
    const other = () => writeHeartbeat(record({ id, instance: "2", pid: 77 }));
    await until(async () => {
      await other();
      return logs.lines.length > 0;
    });
    const [{ seenAt }] = await api.cluster.nodes();
    await other();
    await until(async () => (await api.cluster.nodes())[0].seenAt > seenAt);
    expect(logs.lines).toEqual([
      expect.objectContaining({
        message: `another process has the id ${id} (pid 77 on h): give each its own`,
        level: "error",
      }),
    ]);
  });

  describe("a process of the same id before this one", () => {
    test("may be alive on another host, until it is silent for long enough", async () => {
      const alone = jest.fn();
      api.cluster.onAlone(alone);
      alone.mockRejectedValueOnce(new Error("not yet"));
      await writeHeartbeat(record({ id, host: "elsewhere", timeout: 400 }));
      await joinNodes();
      expect(api.cluster.sharesId()).toBe(true);
      expect(alone).not.toHaveBeenCalled();
      await until(() => alone.mock.calls.length === 2); // what failed is repeated
      expect(api.cluster.sharesId()).toBe(false);
      const [{ seenAt }] = await api.cluster.nodes();
      await until(async () => (await api.cluster.nodes())[0].seenAt > seenAt);
      expect(alone).toHaveBeenCalledTimes(2);
    });

    test("that was silent for long enough is dead", async () => {
      await writeHeartbeat(record({ id, host: "elsewhere", timeout: 1 }));
      const sinceThen = performance.now() + 20;
      await until(() => performance.now() > sinceThen);
      await joinNodes();
      expect(api.cluster.sharesId()).toBe(false);
    });

    /** As this process describes itself. */
    const ownRecord = async (): Promise<ClusterNode> => {
      await joinNodes();
      const [own] = await api.cluster.nodes();
      await leaveNodes();
      return own;
    };

    test.each([
      ["that has ended", () => spawnSync("true").pid, false],
      ["that runs", () => process.ppid, true],
      ["that was this very process", () => process.pid, false],
      ["of a strange number", () => -1, true],
    ])("on this host %s", async (_kind, pid, mayLive) => {
      const own = await ownRecord();
      await writeHeartbeat({
        ...own,
        instance: "1",
        pid: pid(),
        timeout: 60_000,
      });
      createCluster();
      await joinNodes();
      expect(api.cluster.sharesId()).toBe(mayLive);
    });

    test.each([
      ["another container", "boot pid:[1]"],
      ["an older version", undefined],
    ])(
      "on this host may be alive in %s, where its pid is another process",
      async (_kind, pidSpace) => {
        const host = os.hostname();
        const { pid } = process;
        await writeHeartbeat(
          record({ id, host, pid, pidSpace, timeout: 60_000 }),
        );
        await joinNodes();
        expect(api.cluster.sharesId()).toBe(true);
      },
    );
  });

  test("malformed entries are not nodes", async () => {
    await engine.client().hset(REGISTER, {
      a: "",
      b: "x {}",
      c: "12 {",
      d: "12 null",
      e: "12 {}",
      f: "12 []",
    });
    await joinNodes();
    expect(await ids()).toEqual([id]);
    const [{ seenAt }] = await api.cluster.nodes();
    await until(async () => (await api.cluster.nodes())[0].seenAt > seenAt);
    expect(lost).toEqual([]);
    expect(logs.matching(/no heartbeat/)).toEqual([]);
  });

  test("without an interval there are no heartbeats", async () => {
    config.redis.heartbeatInterval = 0;
    await joinNodes();
    expect(await ids()).toEqual([]);
  });

  test("an outage of redis is logged once, and heartbeats continue afterwards", async () => {
    await joinNodes();
    const { client } = api.redis.clients;
    api.redis.clients.client = undefined as never;
    await until(() => logs.lines.length > 0);
    const sinceThen = performance.now() + 100;
    await until(() => performance.now() > sinceThen);
    api.redis.clients.client = client;
    expect(logs.lines).toEqual([
      expect.objectContaining({
        message: "no heartbeat: redis not connected, cluster cannot be used",
        level: "warning",
      }),
    ]);
    await until(async () => (await ids()).length === 1);
  });

  test("after an outage of redis, a node that takes longer to come back is not lost", async () => {
    config.redis.heartbeatInterval = 300;
    await joinNodes();
    const { client } = api.redis.clients;
    api.redis.clients.client = undefined as never;
    await until(() => logs.matching(/no heartbeat/).length > 0);
    const since = performance.now();
    await until(() => performance.now() - since > 1000);
    api.redis.clients.client = client;
    await writeHeartbeat(record({ timeout: 1 }));
    const before = (await readNodes()).nodes.find((node) => node.id === id)!;
    const seenAt = async () =>
      (await readNodes()).nodes.find((node) => node.id === id)!.seenAt;
    await until(async () => (await seenAt()) > before.seenAt);
    const back = performance.now();
    await until(() => performance.now() - back > 450); // the next round was 300 ms after that one
    await writeHeartbeat(record({ timeout: 9e9 }));
    const rounds = await seenAt();
    await until(async () => (await seenAt()) > rounds + 1000);
    expect(lost).toEqual([]);
    expect(await ids()).toContain("other");
  });

  test("nodes of other channels are not listed", async () => {
    await joinNodes();
    config.general.channel = "another";
    expect(await ids()).toEqual([]);
  });
});
