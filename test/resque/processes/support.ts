/** Starts processes of fault tests, and counts what their jobs left behind. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as ts from "typescript";
import { Redis } from "ioredis";
import { Queue } from "../../../src/resque/queue";
import {
  RedisServer,
  type RedisServerOptions,
} from "../../support/redisServer";
import { until } from "../support";
import type { NodeOptions } from "./node";

const root = path.join(__dirname, "../../..");
/** What a process consists of, with all that this imports; compiled once, it starts in a third of the time. */
const SOURCES = [
  "src/resque",
  "test/resque/processes/clock.ts",
  "test/resque/processes/node.ts",
];
let compiled: string | undefined;

/** @returns the script of a process, as JavaScript */
function compile(): string {
  if (compiled) return compiled;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "ah-nodes-"));
  fs.symlinkSync(
    path.join(root, "node_modules"),
    path.join(folder, "node_modules"),
  );
  const sources = new Set(SOURCES.flatMap(filesOf));
  for (const source of sources) {
    const { outputText } = ts.transpileModule(
      fs.readFileSync(path.join(root, source), "utf8"),
      {
        compilerOptions: {
          target: ts.ScriptTarget.ES2022,
          module: ts.ModuleKind.CommonJS,
        },
      },
    );
    const file = path.join(folder, source.replace(/\.ts$/, ".js"));
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, outputText);
    // what is added to a set is visited, too
    for (const imported of importsOf(source, outputText)) sources.add(imported);
  }
  compiled = path.join(folder, "test/resque/processes/node.js");
  return compiled;
}

/** Call it after the last process. */
export function removeCompiled(): void {
  if (compiled === undefined) return;
  const folder = path.join(path.dirname(compiled), "../../..");
  fs.rmSync(folder, { recursive: true, force: true });
  compiled = undefined;
}

/** The files of ours that a file requires. */
function importsOf(source: string, code: string): string[] {
  return [...code.matchAll(/\brequire\("(\.[^"]+)"\)/g)]
    .map(([, name]) => `${path.join(path.dirname(source), name)}.ts`)
    .filter((file) => fs.existsSync(path.join(root, file)));
}

function filesOf(source: string): string[] {
  const full = path.join(root, source);
  if (!fs.statSync(full).isDirectory()) return [source];
  return fs
    .readdirSync(full)
    .flatMap((name) => filesOf(path.join(source, name)));
}

export class Node {
  readonly events: { event: string; details: any[] }[] = [];

  private constructor(readonly child: ChildProcess) {
    child.on("message", (message: { event: string; details: any[] }) =>
      this.events.push(message),
    );
  }

  /** @param event what the process says when it has come so far */
  static async start(
    options: NodeOptions,
    event: "starting" | "ready" = "ready",
  ): Promise<Node> {
    const script = compile();
    const clock = path.join(path.dirname(script), "clock.js");
    const child = fork(script, [JSON.stringify(options)], {
      execArgv: options.skewMs === undefined ? [] : ["--require", clock],
      env: {
        ...process.env,
        NODE_OPTIONS: "",
        CLOCK_SKEW_MS: String(options.skewMs ?? 0),
      },
    });
    const node = new Node(child);
    await until(() => node.count(event) > 0, 30_000);
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
