/** A server in a process of its own: one node of a cluster, which can be killed and frozen. */
import { spawn, type ChildProcess } from "child_process";
import { once } from "events";
import * as path from "path";
import * as readline from "readline";
import { RUN_TYPESCRIPT } from "./sources";
import { repositoryRoot, TemporaryProject } from "./temporaryProject";
import { until } from "./until";

const START_TIMEOUT_MS = 60_000;

export interface RemoteNodeOptions {
  /** Its id in the cluster. */
  title?: string;
  redisUrl: string;
  /** Merged over its configuration. */
  overrides?: Record<string, unknown>;
  env?: Record<string, string | undefined>;
  /** Files of its project, e.g. `{ "config/redis.js": "..." }`. */
  files?: Record<string, string>;
}

/** What starts the program; the rest is the same for every version. */
export interface NodeProgram {
  execArgv: string[];
  /** The module to require: the one that exports `Process`. */
  entry: string;
  files?: Record<string, string>;
}

/** Without servers, so that nothing listens on a port that was not asked for. */
const NO_SERVERS = {
  web: { enabled: false },
  websocket: { enabled: false },
  socket: { enabled: false },
};

const NO_PLUGINS = "exports.DEFAULT = { plugins: () => ({}) };";

type Answer = { id: number; result?: unknown; error?: RemoteError };
type RemoteError = { message: string; code?: string };

export class RemoteNode {
  /** All lines that it printed; the logs of all levels are among them. */
  readonly lines: string[] = [];
  private readonly exit: Promise<unknown>;
  private readonly waiting = new Map<number, (answer: Answer) => void>();
  private lastId = 0;

  private constructor(
    private readonly child: ChildProcess,
    private readonly project: TemporaryProject,
  ) {
    this.exit = once(child, "close");
    for (const input of [child.stdout!, child.stderr!])
      readline
        .createInterface({ input })
        .on("line", (line) => this.lines.push(line));
    child.on("message", (answer: Answer) => {
      this.waiting.get(answer.id)?.(answer);
      this.waiting.delete(answer.id);
    });
    void this.exit.then(() => {
      for (const [id, settle] of this.waiting)
        settle({ id, error: { message: "the node has ended" } });
      this.waiting.clear();
    });
  }

  /** Start this project's server from its sources. */
  static start(options: RemoteNodeOptions): Promise<RemoteNode> {
    return RemoteNode.startProgram(
      {
        execArgv: RUN_TYPESCRIPT,
        entry: path.join(repositoryRoot, "src", "index.ts"),
        files: { "config/plugins.js": NO_PLUGINS }, // a project has a folder of configuration
      },
      options,
    );
  }

  static async startProgram(
    program: NodeProgram,
    { title, redisUrl, overrides, env, files }: RemoteNodeOptions,
  ): Promise<RemoteNode> {
    const project = new TemporaryProject({
      "package.json": '{"name":"node-of-a-test","version":"1.0.0"}',
      ...program.files,
      ...files,
    });
    const child = spawn(
      process.execPath,
      [
        ...program.execArgv,
        path.join(__dirname, "nodeAgent.js"),
        program.entry,
      ],
      {
        cwd: project.root,
        env: {
          ...process.env,
          JEST_WORKER_ID: undefined,
          NODE_ENV: "test",
          LOG_LEVEL: "debug",
          REDIS_URL: redisUrl,
          PROJECT_ROOT: project.root,
          ACTIONHERO_CONFIG: project.path("config"),
          ACTIONHERO_TITLE: title,
          ACTIONHERO_CONFIG_OVERRIDES: JSON.stringify({
            ...NO_SERVERS,
            ...overrides,
          }),
          ...env,
        },
        stdio: ["ignore", "pipe", "pipe", "ipc"],
      },
    );
    const node = new RemoteNode(child, project);
    await node.untilReady();
    return node;
  }

  get pid(): number {
    return this.child.pid!;
  }

  /**
   * Run a function there and give back what it returns, as far as JSON carries it.
   * @param task is sent as text: it sees its arguments only, the package's exports being the first
   */
  run<Args extends unknown[], Result>(
    task: (actionhero: any, ...args: Args) => Result,
    ...args: Args
  ): Promise<Awaited<Result>> {
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      if (!this.child.connected) return reject(new Error("the node has ended"));
      this.waiting.set(id, ({ error, result }) => {
        if (!error) return resolve(result as Awaited<Result>);
        reject(Object.assign(new Error(error.message), { code: error.code }));
      });
      this.child.send({ id, source: String(task), args });
    });
  }

  /** Wait until it has printed a line like this. */
  async saw(pattern: RegExp, limitMs?: number): Promise<string> {
    return until(() => this.lines.find((line) => pattern.test(line)), limitMs);
  }

  /** Freeze it; `resume` lets it go on. */
  pause(): void {
    this.child.kill("SIGSTOP");
  }

  resume(): void {
    this.child.kill("SIGCONT");
  }

  /** End it without a word, as the loss of a machine does. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exit;
    this.project.remove();
  }

  /** Stop its server and end it. */
  async stop(): Promise<void> {
    await this.run(({ api }) => api.process.stop());
    await this.kill();
  }

  private untilReady(): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (reason: string) => {
        clearTimeout(timer);
        void this.kill();
        reject(new Error(`the node ${reason}\n${this.lines.join("\n")}`));
      };
      const timer = setTimeout(
        () => fail("did not start in time"),
        START_TIMEOUT_MS,
      );
      const onExit = () => fail("ended during its start");
      this.child.once("exit", onExit);
      this.child.once(
        "message",
        ({ ready, error }: { ready: boolean; error?: RemoteError }) => {
          this.child.off("exit", onExit);
          if (!ready) return fail(`could not start: ${error?.message}`);
          clearTimeout(timer);
          resolve();
        },
      );
    });
  }
}
