/** Nodes in processes of their own: one joins and one is killed under mixed load, and periodic tasks go on. */
import * as path from "path";
import IORedis, { type Redis } from "ioredis";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { RemoteNode } from "../support/remoteNode";
import { repositoryRoot } from "../support/temporaryProject";
import { until } from "../support/until";

/** How many of each kind a node sends; the long form is `LOAD=2000 npx jest test/task/nodes`. */
const LOAD = Number(process.env.LOAD ?? 80);
const HEARTBEAT_MS = 1500;

const entry = JSON.stringify(path.join(repositoryRoot, "src/index.ts"));

const tasks = `
const { Task, api, id } = require(${entry});
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Leaves its effect at its end. */
exports.Effect = class extends Task {
  name = "effect";
  description = "leaves an effect";
  async run({ key }) {
    await sleep(10 + Math.random() * 30);
    await api.redis.clients.client.hincrby("effects", key, 1);
  }
};

/** Hangs once, when it is told to. */
exports.Tick = class extends Task {
  name = "tick";
  description = "ticks";
  frequency = 100;
  async run() {
    const { client } = api.redis.clients;
    if (await client.del("hang")) {
      await client.set("hanging", id);
      await new Promise(() => {});
    }
    await client.rpush("ticks", id);
  }
};

exports.Everywhere = class extends Task {
  name = "everywhere";
  description = "runs on each node";
  scope = "all";
  async run({ key }) {
    await api.redis.clients.client.rpush("everywhere:" + key, id);
  }
};
`;

describeOnRedis("nodes that work together", describeNodes);

function describeNodes(): void {
  const server = new RedisServer();
  const nodes = new Map<string, RemoteNode>();
  let redis: Redis;

  async function start(title: string): Promise<RemoteNode> {
    const node = await RemoteNode.start({
      title,
      redisUrl: server.url,
      overrides: {
        general: { paths: { task: ["tasks"] } },
        tasks: {
          scheduler: true,
          minTaskProcessors: 5,
          maxTaskProcessors: 5,
          heartbeatTimeout: HEARTBEAT_MS,
        },
      },
      files: { "tasks/tasks.js": tasks },
    });
    nodes.set(title, node);
    return node;
  }

  beforeAll(async () => {
    await server.start();
    redis = new IORedis(server.url);
    await Promise.all(["a", "b", "c"].map(start));
  }, 60_000);

  afterAll(async () => {
    await Promise.all([...nodes.values()].map((node) => node.kill()));
    redis?.disconnect();
    await server.stop();
  });

  /** A member of the room on a node; what it hears stays there. */
  const join = (node: RemoteNode) =>
    node.run(async ({ api, specHelper }) => {
      const member = await specHelper.buildConnection();
      await member.verbs("roomAdd", ["lobby"]);
      api.testMember = member;
    });

  const heard = (node: RemoteNode) =>
    node.run(({ api }) =>
      api.testMember.messages
        .map(({ message }: any) => message)
        .filter((message: unknown) => typeof message === "string"),
    );

  /** Jobs, cache entries and messages; each is noted when it was acknowledged. */
  const load = (node: RemoteNode, name: string, count: number) =>
    node.run(
      async ({ api, cache, chatRoom, task }, name, count) => {
        const { client } = api.redis.clients;
        for (let n = 0; n < count; n++) {
          const key = `${name}-${n}`;
          await task.enqueue("effect", { key });
          await client.rpush("acknowledged:job", key);
          if (n % 5 === 0) {
            const later = `${key}-later`;
            await task.enqueueIn(n * 5, "effect", { key: later });
            await client.rpush("acknowledged:job", later);
          }
          await cache.save(key, { n });
          await client.rpush("acknowledged:cache", key);
          await chatRoom.broadcast({}, "lobby", key);
          await client.rpush("acknowledged:message", key);
        }
      },
      name,
      count,
    );

  test("one joins and one is killed under load: nothing acknowledged is lost", async () => {
    const [a, b, c] = ["a", "b", "c"].map((title) => nodes.get(title)!);
    await a.run(({ chatRoom }) => chatRoom.add("lobby"));
    await Promise.all([a, c].map(join));

    const loads = [load(a, "a", LOAD), load(c, "c", LOAD)];
    const lost = load(b, "b", 1_000_000).catch((error) => error);
    loads.push(start("d").then((d) => load(d, "d", LOAD)));
    await until(
      async () => (await redis.llen("acknowledged:message")) > LOAD / 2,
    );
    await until(async () => {
      const running = await redis.keys(`resque:worker:*:${b.pid}+?:[*]`);
      return running.length > 0;
    });
    await b.kill();
    nodes.delete("b");
    expect((await lost).message).toBe("the node has ended");
    await Promise.all(loads);

    const acknowledged = (kind: string) =>
      redis.lrange(`acknowledged:${kind}`, 0, -1);
    const jobs = await acknowledged("job");
    await until(async () => {
      const done = await redis.hkeys("effects");
      const missing = new Set(jobs);
      for (const key of done) missing.delete(key);
      return missing.size === 0;
    }, 20_000);
    const reapers = [a, c, nodes.get("d")!];
    await until(() =>
      reapers.some(({ lines }) =>
        lines.some((line) => /cleaned up after the dead process/.test(line)),
      ),
    );
    const twice = Object.values(await redis.hgetall("effects")).filter(
      (count) => count !== "1",
    ).length;

    const sent = await acknowledged("message");
    for (const node of [a, c]) {
      await until(async () => {
        const missing = new Set(sent);
        for (const key of await heard(node)) missing.delete(key);
        return missing.size === 0;
      });
    }

    const keys = await acknowledged("cache");
    const values = await a.run(
      ({ cache }, keys) =>
        Promise.all(keys.map(async (key) => (await cache.load(key)).value.n)),
      keys,
    );
    expect(values).toEqual(keys.map((key) => Number(key.split("-")[1])));

    process.stdout.write(
      `nodes: ${jobs.length} jobs, ${sent.length} messages to 2 members, ${keys.length} cache entries acknowledged; none lost, ${twice} jobs done twice\n`,
    );
    expect(jobs.length).toBeGreaterThan(3 * LOAD);
    // only what ran on the killed node can have left its effect already
    expect(twice).toBeLessThanOrEqual(5);
    expect(await redis.llen("resque:failed")).toBe(0);
  }, 60_000);

  test("a recurring task whose node is killed during a run continues on another node soon", async () => {
    await until(async () => (await redis.llen("ticks")) > 3);
    await redis.set("hang", "1");
    const title = await until(() => redis.get("hanging"), 10_000);
    await redis.del("ticks");
    const begin = Date.now();
    await nodes.get(title)!.kill();
    nodes.delete(title);
    await until(async () => (await redis.llen("ticks")) > 3, 10_000);
    const tookMs = Date.now() - begin;
    process.stdout.write(`nodes: ticks again ${tookMs} ms after the kill\n`);
    expect(await redis.lrange("ticks", 0, -1)).not.toContain(title);
  }, 60_000);

  test("a task of all nodes runs once on each that lives", async () => {
    const [first] = nodes.values();
    const living = [...nodes.keys()].sort();
    expect(
      await first.run(({ task }) => task.enqueue("everywhere", { key: "x" })),
    ).toBe(true);
    await until(
      async () => (await redis.llen("everywhere:x")) >= living.length,
    );
    expect((await redis.lrange("everywhere:x", 0, -1)).sort()).toEqual(living);
  });
}
