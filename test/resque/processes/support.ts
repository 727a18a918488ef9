/** Starts processes of fault tests, and counts what their jobs left behind. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as path from "node:path";
import { Redis } from "ioredis";
import { Queue } from "../../../src/resque/queue";
import {
  RedisServer,
  type RedisServerOptions,
} from "../../support/redisServer";
import { until } from "../support";
import type { NodeOptions } from "./node";

const SCRIPT = path.join(__dirname, "node.ts");

export class Node {
  readonly events: { event: string; details: any[] }[] = [];

  private constructor(readonly child: ChildProcess) {
    child.on("message", (message: { event: string; details: any[] }) =>
      this.events.push(message),
    );
  }

  static async start(options: NodeOptions): Promise<Node> {
    const child = fork(SCRIPT, [JSON.stringify(options)], {
      execArgv: ["--import", "tsx"],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    const node = new Node(child);
    await until(() => node.count("ready") > 0, 30_000);
    return node;
  }

  count(event: string): number {
    return this.events.filter((one) => one.event === event).length;
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, "exit");
    this.child.kill(signal);
    await exited;
  }
}

/** A redis-server, processes on it, and a queue to fill. */
export class Cluster {
  readonly server = new RedisServer();
  redis!: Redis;
  queue!: Queue;
  nodes: Node[] = [];

  async open(options?: RedisServerOptions): Promise<this> {
    await this.server.start(options);
    this.redis = new Redis({
      port: this.server.port,
      host: "127.0.0.1",
      maxRetriesPerRequest: null,
    });
    this.redis.on("error", () => undefined); // restarts
    this.queue = new Queue({ connection: { redis: this.redis } });
    await this.queue.connect();
    return this;
  }

  async start(options: Omit<NodeOptions, "port">): Promise<Node> {
    const node = await Node.start({ ...options, port: this.server.port });
    this.nodes.push(node);
    return node;
  }

  async workers(
    count: number,
    options: Partial<NodeOptions> = {},
  ): Promise<Node[]> {
    return Promise.all(
      Array.from({ length: count }, () =>
        this.start({ role: "workers", ...options }),
      ),
    );
  }

  /** How often each number is in a list that the jobs write. */
  async counts(list: "runs" | "effects"): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (const n of await this.redis.lrange(list, 0, -1))
      counts.set(n, (counts.get(n) ?? 0) + 1);
    return counts;
  }

  async processed(): Promise<number> {
    return Number((await this.queue.stats()).processed ?? 0);
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    await this.queue?.end();
    this.redis?.disconnect();
    await this.server.stop();
  }
}
