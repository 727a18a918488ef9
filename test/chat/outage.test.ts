/** Chat and cache of two processes while redis is killed, started again and stands still. */
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { RemoteNode } from "../support/remoteNode";
import { until } from "../support/until";

const ROOM = "defaultRoom";
const OPERATION_TIMEOUT = 3_000;

/** Let the node save, load and wrap in the cache, and two members talk, without a pause. */
async function beginLoad({ cache, chatRoom, specHelper }: any) {
  const build = async () => {
    const connection = await specHelper.buildConnection();
    await chatRoom.addMember(connection.id, "defaultRoom");
    connection.messages = { push: () => (load.heard += 1) }; // it would keep all of them
    return connection;
  };
  const load = ((globalThis as any).load = {
    cached: 0,
    said: 0,
    heard: 0,
    failed: 0,
    wrong: 0,
    longest: 0,
    running: true,
    lanes: [] as Promise<void>[],
    members: [] as string[],
  });
  const { id } = await build();
  const speaker = await build();
  load.members = [id, speaker.id];

  let n = 0;
  const check = (isRight: boolean) => (load.wrong += isRight ? 0 : 1);
  const operations: [count: "cached" | "said", work: () => Promise<unknown>][] =
    [
      [
        "cached",
        async () => {
          const key = `${id}:${n++ % 100}`;
          await cache.save(key, key, 60_000);
          const found = await cache.load(key).catch((error: any) => {
            if (error.code !== "AH_CACHE_NOT_FOUND") throw error; // redis was started without it
          });
          check(found === undefined || found.value === key);
        },
      ],
      [
        "cached",
        async () => {
          const key = `wrapped:${n++ % 100}`;
          const options = { expireTimeMS: 50 };
          check((await cache.wrap(key, options, () => key)) === key);
        },
      ],
      ["said", () => chatRoom.broadcast(speaker, "defaultRoom", "hello")],
      ["said", () => speaker.verbs("say", ["defaultRoom", "hi"])],
    ];
  const lane = async ([count, work]: (typeof operations)[number]) => {
    while (load.running) {
      const begun = performance.now();
      try {
        await work();
        load[count]++;
      } catch {
        load.failed++;
      }
      load.longest = Math.max(load.longest, performance.now() - begun);
      await new Promise(setImmediate);
    }
  };
  load.lanes = Array.from({ length: 16 }, (_, i) =>
    lane(operations[i % operations.length]),
  );
}

interface Figures {
  cached: number;
  said: number;
  heard: number;
  failed: number;
  wrong: number;
  longest: number;
  members: string[];
}

function figures(node: RemoteNode): Promise<Figures> {
  return node.run(() => {
    return { ...(globalThis as any).load, lanes: undefined };
  });
}

function endLoad(node: RemoteNode): Promise<void> {
  return node.run(async () => {
    const { load } = globalThis as any;
    load.running = false;
    await Promise.all(load.lanes);
  });
}

describeOnRedis("two processes with cache and chat under load", () => {
  const redis = new RedisServer();
  let nodes: RemoteNode[];

  beforeAll(async () => {
    await redis.start();
    const overrides = {
      general: { rpcTimeout: OPERATION_TIMEOUT },
      redis: { operationTimeout: OPERATION_TIMEOUT },
    };
    nodes = await Promise.all(
      ["one", "two"].map((title) =>
        RemoteNode.start({
          title,
          redisUrl: redis.url,
          overrides,
          env: { LOG_LEVEL: "notice" },
        }),
      ),
    );
  }, 90_000);

  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.kill()));
    await redis.stop();
  });

  /** Until every node has cached, said and heard more than now. */
  async function untilMore(): Promise<void> {
    for (const node of nodes) {
      const before = await figures(node);
      await until(async () => {
        const now = await figures(node);
        return (["cached", "said", "heard"] as const).every(
          (name) => now[name] > before[name] + 50,
        );
      }, 20_000);
    }
  }

  test("after redis is killed and restarted, waiting calls end, and rooms continue with their members", async () => {
    await Promise.all(nodes.map((node) => node.run(beginLoad)));
    await untilMore();

    await redis.kill();
    for (const node of nodes)
      await until(async () => (await figures(node)).failed > 0, 20_000);
    await redis.restart();
    await untilMore();

    await Promise.all(nodes.map(endLoad));
    const ends = await Promise.all(nodes.map(figures));
    for (const { longest, wrong } of ends) {
      expect(wrong).toBe(0);
      // a look and a write, each within its limit, and what a busy machine adds; who waits for others waits for 30 s
      expect(longest).toBeLessThan(2 * OPERATION_TIMEOUT + 10_000);
    }
    const members = ends.flatMap((end) => end.members).sort();
    for (const node of nodes) {
      const listed = await node.run(
        async ({ chatRoom }, room) =>
          Object.keys((await chatRoom.roomStatus(room)).members),
        ROOM,
      );
      expect(listed.sort()).toEqual(members);
      expect(node.lines.join("\n")).not.toMatch(/unhandledRejection/);
      expect(
        node.lines.filter((line) => /Redis connection .* error/.test(line)),
      ).toHaveLength(1);
    }
  }, 60_000);

  test("a client that disconnects while redis is frozen is removed soon, and later unlisted", async () => {
    const [node] = nodes as [RemoteNode];
    const gone: string[] = [];
    let fastest = Infinity;
    // a machine that stands still meanwhile says nothing about it
    for (let i = 0; i < 5 && fastest >= OPERATION_TIMEOUT - 500; i++) {
      const id = await node.run(async ({ chatRoom, specHelper }, room) => {
        const connection = await specHelper.buildConnection();
        await chatRoom.addMember(connection.id, room);
        return connection.id as string;
      }, ROOM);
      redis.pause();
      const tookMs = await node.run(async ({ api }, id) => {
        const begun = performance.now();
        await api.connections.connections[id].destroy();
        if (id in api.connections.connections) throw new Error("it is there");
        return performance.now() - begun;
      }, id);
      redis.resume();
      fastest = Math.min(fastest, tookMs);
      gone.push(id);
    }
    expect(fastest).toBeLessThan(OPERATION_TIMEOUT - 500);
    await until(async () => {
      const { members } = await node.run(
        ({ chatRoom }, room) => chatRoom.roomStatus(room),
        ROOM,
      );
      return gone.every((id) => !(id in members));
    });
  }, 60_000);
});
