/** The cache of two processes on one redis. */
import { fork, type ChildProcess } from "child_process";
import { once } from "events";
import * as path from "path";
import { Redis } from "ioredis";
import { hasRedis, RedisServer } from "../support/redisServer";
import { TemporaryProject } from "../support/temporaryProject";
import type { Order } from "./node";

class Node {
  private readonly child: ChildProcess;

  constructor(project: TemporaryProject, url: string, title: string) {
    this.child = fork(path.join(__dirname, "node.ts"), [], {
      execArgv: ["--import", "tsx"],
      env: {
        ...process.env,
        JEST_WORKER_ID: undefined,
        NODE_ENV: "production",
        LOG_LEVEL: "crit",
        PROJECT_ROOT: project.root,
        ACTIONHERO_TITLE: title,
        REDIS_URL: url,
      },
    });
  }

  async answer(): Promise<any> {
    const [answer] = (await once(this.child, "message")) as [object];
    return answer;
  }

  async do(order: Order): Promise<any> {
    const answer = this.answer();
    this.child.send(order);
    return answer;
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGKILL");
    await once(this.child, "exit");
  }
}

if (hasRedis) {
  describe("two nodes on one redis", () => {
    const project = new TemporaryProject({
      "package.json": JSON.stringify({ name: "nodes", version: "1.0.0" }),
      "src/config/nothing.ts": "export const DEFAULT = {};",
    });
    const server = new RedisServer();
    let redis: Redis;
    let nodes: Node[];

    beforeAll(async () => {
      await server.start();
      redis = new Redis(server.url);
      nodes = ["one", "two"].map((name) => new Node(project, server.url, name));
      await Promise.all(nodes.map((node) => node.answer()));
    });

    afterAll(async () => {
      await Promise.all(nodes.map((node) => node.end()));
      redis.disconnect();
      await server.stop();
      project.remove();
    });

    test("of 10,000 locks of one key, never are two held at once", async () => {
      const answers = await Promise.all(
        nodes.map((node) => node.do({ do: "contend", key: "k", wins: 5_000 })),
      );
      expect(answers).toEqual([
        { clashes: 0, wins: 5_000 },
        { clashes: 0, wins: 5_000 },
      ]);
    }, 120_000);

    test("a thousand misses on two nodes run the producer once", async () => {
      const answers = await Promise.all(
        nodes.map((node) => node.do({ do: "wrap", key: "w", callers: 500 })),
      );
      expect(answers).toEqual([{ values: ["value"] }, { values: ["value"] }]);
      expect(await redis.get("produced")).toBe("1");
    });

    test("the lock of a node that dies frees itself", async () => {
      const [first, second] = nodes as [Node, Node];
      expect(await first.do({ do: "hold", key: "h" })).toEqual({ held: true });
      expect(await second.do({ do: "hold", key: "h" })).toEqual({
        held: false,
      });
      await first.end();
      let answer: object;
      do answer = await second.do({ do: "hold", key: "h" });
      while (!(answer as { held: boolean }).held);
      expect(answer).toEqual({ held: true });
    });
  });
} else {
  test("left out, for want of a redis-server", () => {
    process.stderr.write("left out: the cache of two nodes\n");
  });
}
