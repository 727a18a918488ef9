/** Private redis-servers for tests, and suites that run on the embedded engine and on a real one. */
import { spawn, spawnSync, type ChildProcess } from "child_process";
import * as fs from "fs";
import * as os from "os";
import * as path from "path";
import { Redis } from "ioredis";
import { endWithThisProcess } from "./endWithProcess";
import { freePort } from "./freePort";
import { until } from "./until";
import { leaveOut } from "./leftOut";

const START_TIMEOUT_MS = 30_000;

/** Whether a redis-server is on the PATH. */
export const hasRedis =
  spawnSync("redis-server", ["--version"], { stdio: "ignore" }).status === 0;

/** Describe what needs a real redis-server; without one it is left out. */
export function describeOnRedis(title: string, body: () => void): void {
  if (hasRedis) {
    describe(title, body);
    return;
  }
  leaveOut(title, "redis-server");
}

export interface RedisServerOptions {
  /** Lines of redis.conf, e.g. `{ requirepass: "x", appendonly: "yes" }`; nothing is persisted by default. */
  config?: Record<string, string>;
  /** Serve TLS instead of plain TCP, with these files. */
  tls?: { cert: string; key: string };
  /** Listen here instead of on a free port. */
  port?: number;
  /** Extra arguments, e.g. `["--sentinel"]`. */
  args?: string[];
}

/** One redis-server process with a directory of its own; data survives `restart` when the options persist it. */
export class RedisServer {
  port = 0;
  private directory?: string;
  private child?: ChildProcess;
  private options: RedisServerOptions = {};

  get url(): string {
    const { requirepass } = this.options.config ?? {};
    const credentials = requirepass ? `:${requirepass}@` : "";
    const protocol = this.options.tls ? "rediss" : "redis";
    return `${protocol}://${credentials}127.0.0.1:${this.port}`;
  }

  /** Start and wait until it accepts connections. */
  async start(options: RedisServerOptions = {}): Promise<this> {
    this.options = options;
    this.port = options.port ?? (await freePort());
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), "ah-redis-"));
    await this.spawn();
    return this;
  }

  /** Start again on the same port and directory, after `kill` or `stop`. */
  async restart(): Promise<void> {
    await this.end("SIGKILL");
    await this.spawn();
  }

  /** End it as a crash does. */
  async kill(): Promise<void> {
    await this.end("SIGKILL");
  }

  /** Freeze the process: connections stay open and nothing is answered. */
  pause(): void {
    this.child?.kill("SIGSTOP");
  }

  resume(): void {
    this.child?.kill("SIGCONT");
  }

  /** Have it refuse writes, as one does that cannot save: its directory goes. */
  refuseWrites(): Promise<void> {
    fs.rmSync(this.directory!, { recursive: true });
    return this.configure(async (client) => {
      await client.config("SET", "save", "3600 1");
      await client.bgsave();
      const isBroken = async () =>
        (await client.info("persistence")).includes("bgsave_status:err");
      await until(isBroken, START_TIMEOUT_MS);
    });
  }

  /** End `refuseWrites`. */
  acceptWrites(): Promise<void> {
    return this.configure(async (client) => {
      await client.config("SET", "save", "");
    });
  }

  /** End it, and remove its folder. */
  async stop(): Promise<void> {
    await this.end("SIGKILL");
    if (this.directory)
      fs.rmSync(this.directory, { recursive: true, force: true });
    this.directory = undefined;
  }

  private async configure(
    work: (client: Redis) => Promise<void>,
  ): Promise<void> {
    const client = new Redis({ port: this.port, host: "127.0.0.1" });
    try {
      await work(client);
    } finally {
      client.disconnect();
    }
  }

  private async spawn(): Promise<void> {
    const directory = this.directory!;
    const file = path.join(directory, "redis.conf");
    // sentinel and cluster nodes write their state into their own file
    if (!fs.existsSync(file)) fs.writeFileSync(file, this.configuration());
    const child = spawn("redis-server", [file, ...(this.options.args ?? [])], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    endWithThisProcess(child);
    await untilReady(child);
  }

  private configuration(): string {
    const { tls, config } = this.options;
    const ports: Record<string, string> = tls
      ? {
          port: "0",
          "tls-port": String(this.port),
          "tls-cert-file": tls.cert,
          "tls-key-file": tls.key,
          "tls-ca-cert-file": tls.cert,
          "tls-auth-clients": "no",
        }
      : { port: String(this.port) };
    const settings: Record<string, string> = {
      bind: "127.0.0.1",
      dir: this.directory!,
      ...ports,
      ...(this.options.args?.includes("--sentinel")
        ? {}
        : { save: '""', appendonly: "no" }),
      ...config,
    };
    return Object.entries(settings)
      .map(([name, value]) => `${name} ${value}\n`)
      .join("");
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.child;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }
}

function untilReady(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = "";
    const fail = (reason: string) => {
      clearTimeout(timer);
      reject(new Error(`redis-server ${reason}\n${output}`));
    };
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail("did not start in time");
    }, START_TIMEOUT_MS);
    const onOutput = (chunk: Buffer) => {
      output += String(chunk);
      if (!/Ready to accept connections|Sentinel ID is/.test(output)) return;
      clearTimeout(timer);
      child.off("exit", onExit);
      child.stdout!.off("data", onOutput);
      child.stdout!.resume(); // a full pipe would stop the server
      resolve();
    };
    const onExit = () => fail("ended during its start");
    child.stdout!.on("data", onOutput);
    child.stderr!.on("data", onOutput);
    child.once("error", (error) => fail(error.message));
    child.once("exit", onExit);
  });
}

export { describeOnEachEngine, type Engine } from "./engines";
