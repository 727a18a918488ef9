import { spawn, type ChildProcess } from "child_process";
import * as path from "path";
import { RUN_TYPESCRIPT } from "../support/sources";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

const serverScript = path.join(repositoryRoot, "src/server.ts");

/** A server process of its own, with what it printed. */
class ServerProcess {
  output = "";
  readonly exited: Promise<{ code: number | null }>;
  private readonly child: ChildProcess;

  constructor(
    project: TemporaryProject,
    env: Record<string, string>,
    script: string,
  ) {
    const { JEST_WORKER_ID: _, ...inherited } = process.env;
    this.child = spawn(process.execPath, [...RUN_TYPESCRIPT, script], {
      cwd: project.root,
      env: { ...inherited, NODE_ENV: "development", PORT: "0", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout!, this.child.stderr!])
      stream.on("data", (chunk: Buffer) => (this.output += String(chunk)));
    this.exited = new Promise((resolve) =>
      this.child.once("close", (code) => resolve({ code })),
    );
  }

  /** Resolves when `text` has been printed. */
  async printed(text: string): Promise<void> {
    while (!this.output.includes(text)) {
      const more = new Promise<void>((resolve) => {
        this.child.stdout!.once("data", () => resolve());
        this.child.stderr!.once("data", () => resolve());
      });
      const end = this.exited.then(() => "end" as const);
      if ((await Promise.race([more, end])) === "end") break;
    }
    expect(this.output).toContain(text);
  }

  /** Nobody reads what it prints any more. */
  closeStdout(): void {
    this.child.stdout!.destroy();
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

/** Keeps the process alive until it is stopped, as a listening server would. */
const keeper = `
  module.exports = class {
    constructor() { this.name = "keeper"; this.loadPriority = this.startPriority = this.stopPriority = 1000; }
    validate() {}
    async start() { this.timer = setInterval(() => {}, 60000); }
    async stop() { clearInterval(this.timer); }
  };`;

const index = JSON.stringify(path.join(repositoryRoot, "src/index"));

function nameless(base: string): string {
  return `exports.A = class extends require(${index}).${base} { run() {} };`;
}

describe("signals", () => {
  let project: TemporaryProject;
  let server: ServerProcess;

  function run(
    files: Record<string, string> = {},
    env: Record<string, string> = {},
    script = serverScript,
  ): ServerProcess {
    project = new TemporaryProject({
      "package.json": '{"name":"signalled","version":"1.0.0"}',
      "src/config/api.js": `
        exports.DEFAULT = { general: () => ({ paths: {
          initializer: [__dirname + "/../initializers"], pid: [__dirname + "/../../pids"],
          log: [], cli: [], public: [], action: [__dirname + "/../actions"],
          task: [__dirname + "/../tasks"], server: [__dirname + "/../servers"] } }) };`,
      "src/config/rest.js": `
        exports.DEFAULT = { web: () => ({ port: 0 }), websocket: () => ({ enabled: false }),
          socket: () => ({ enabled: false }) };`,
      "src/initializers/keeper.js": keeper,
      ...files,
    });
    server = new ServerProcess(project, env, script);
    return server;
  }

  afterEach(async () => {
    server.kill("SIGKILL");
    await server.exited;
    project.remove();
  });

  test.each(["SIGINT", "SIGTERM"] as const)(
    "%s stops the server with exit code 0",
    async (signal) => {
      const running = run();
      await running.printed("*** signalled Started ***");
      running.kill(signal);
      expect((await running.exited).code).toBe(0);
      expect(running.output).toContain(`[ SIGNAL ] - ${signal}`);
      expect(running.output).toContain("*** signalled Stopped ***");
    },
  );

  test("a server whose log nobody reads any more goes on, and stops with exit code 0", async () => {
    const running = run({
      "src/initializers/talker.js": `
        const { log } = require(${index});
        module.exports = class {
          constructor() { this.name = "talker"; this.loadPriority = this.startPriority = this.stopPriority = 1000; }
          validate() {}
          async start() { this.timer = setInterval(() => log("talks"), 20); }
          async stop() { clearInterval(this.timer); }
        };`,
    });
    await running.printed("talks");
    running.closeStdout();
    await running.printed("cannot write log: Error: write EPIPE");
    running.kill("SIGTERM");
    expect((await running.exited).code).toBe(0);
  });

  test("a second signal waits for the stop that runs", async () => {
    const running = run();
    await running.printed("*** signalled Started ***");
    running.kill("SIGTERM");
    running.kill("SIGINT");
    expect((await running.exited).code).toBe(0);
    expect(running.output).toContain("*** signalled Stopped ***");
  });

  test("with general.drainDelay SIGTERM waits before the stop, and a second one does not", async () => {
    const running = run({
      "src/config/drain.js": `exports.DEFAULT = { general: () => ({ drainDelay: 600_000 }) };`,
    });
    await running.printed("*** signalled Started ***");
    running.kill("SIGTERM");
    await running.printed("serving on for 600000 ms before the stop");
    expect(running.output).not.toContain("stopping process...");
    running.kill("SIGTERM");
    expect((await running.exited).code).toBe(0);
    expect(running.output).toContain("*** signalled Stopped ***");
  });

  test("a process without servers does not wait for general.drainDelay", async () => {
    const running = run({
      "src/config/drain.js": `exports.DEFAULT = {
        general: () => ({ drainDelay: 600_000 }), web: () => ({ enabled: false }) };`,
    });
    await running.printed("*** signalled Started ***");
    running.kill("SIGTERM");
    expect((await running.exited).code).toBe(0);
    expect(running.output).not.toContain("serving on");
  });

  test("an error during general.drainDelay ends it, and the exit code is 1", async () => {
    const running = run({
      "src/config/drain.js": `exports.DEFAULT = { general: () => ({ drainDelay: 600_000 }) };`,
      "src/initializers/thrower.js": `
        module.exports = class {
          constructor() { this.name = "thrower"; this.loadPriority = this.startPriority = this.stopPriority = 1000; }
          validate() {}
          async start() { process.once("SIGTERM", () => setTimeout(() => { throw new Error("late"); }, 50)); }
        };`,
    });
    await running.printed("*** signalled Started ***");
    running.kill("SIGTERM");
    expect((await running.exited).code).toBe(1);
    expect(running.output).toContain("*** signalled Stopped ***");
  });

  test("a worker of a cluster disconnects from its primary before it exits", async () => {
    const primary = `
      const cluster = require("node:cluster");
      cluster.setupPrimary({ exec: ${JSON.stringify(serverScript)} });
      const worker = cluster.fork();
      worker.on("message", (text) => {
        if (text === "ready") worker.process.kill("SIGTERM");
      });
      worker.on("exit", (code) => {
        console.log("left:", worker.exitedAfterDisconnect, code);
      });`;
    const running = run({ "primary.js": primary }, {}, "primary.js");
    await running.printed("left: true 0");
  });

  test("SIGUSR2 restarts the server", async () => {
    const running = run();
    await running.printed("*** signalled Started ***");
    running.kill("SIGUSR2");
    await running.printed("*** signalled Restarted ***");
  });

  test.each([
    ["", true],
    [" also without general.exitOnUnhandledRejection", false],
  ])(
    "an uncaught error is reported, and the server stops with exit code 1%s",
    async (_when, exitOnUnhandledRejection) => {
      const running = run({
        "src/config/exit.js": `
        exports.DEFAULT = { general: () => ({ exitOnUnhandledRejection: ${exitOnUnhandledRejection} }) };`,
        "src/initializers/thrower.js": `
        module.exports = class {
          constructor() { this.name = "thrower"; this.startPriority = 5000; this.loadPriority = 1000; this.stopPriority = 1000; }
          validate() {}
          async start() { setTimeout(() => { throw new Error("nobody catches this"); }, 50); }
        };`,
      });
      expect((await running.exited).code).toBe(1);
      expect(running.output).toContain("Uncaught Exception");
      expect(running.output).toContain("nobody catches this");
      expect(running.output).toContain("*** signalled Stopped ***");
    },
  );

  test("an uncaught error during the stop ends with exit code 1", async () => {
    const running = run({
      "src/initializers/thrower.js": `
        module.exports = class {
          constructor() { this.name = "thrower"; this.startPriority = this.loadPriority = this.stopPriority = 1000; }
          validate() {}
          async stop() {
            setImmediate(() => { throw new Error("nobody catches this"); });
            await new Promise((resolve) => process.once("uncaughtException", resolve));
          }
        };`,
    });
    await running.printed("*** signalled Started ***");
    running.kill("SIGTERM");
    expect((await running.exited).code).toBe(1);
    expect(running.output).toContain("nobody catches this");
    expect(running.output).toContain("*** signalled Stopped ***");
  });

  const rejecting = {
    "src/initializers/rejecter.js": `
      module.exports = class {
        constructor() { this.name = "rejecter"; this.startPriority = 5000; this.loadPriority = 1000; this.stopPriority = 1000; }
        validate() {}
        async start() {
          setTimeout(() => {
            const error = new Error("nobody handles this");
            Promise.reject(error);
            Promise.reject(error);
            setTimeout(() => console.log("still here"), 50);
          }, 50);
        }
      };`,
  };

  test("an unhandled rejection is reported, and the server stops with exit code 1", async () => {
    const running = run(rejecting);
    expect((await running.exited).code).toBe(1);
    expect(running.output).toContain("Uncaught Rejection");
    expect(running.output).toContain("nobody handles this");
    expect(running.output).toContain("*** signalled Stopped ***");
  });

  test("without general.exitOnUnhandledRejection a rejection is reported once, and the server keeps running", async () => {
    const running = run({
      ...rejecting,
      "src/config/exit.js": `
        exports.DEFAULT = { general: () => ({ exitOnUnhandledRejection: false }) };`,
    });
    await running.printed("still here");
    expect(running.output.split("Uncaught Rejection")).toHaveLength(2);
    expect(running.output).toContain("nobody handles this");
    running.kill("SIGTERM");
    expect((await running.exited).code).toBe(0);
  });

  test("a failed boot ends with exit code 1 and names the file", async () => {
    const running = run({
      "src/initializers/broken.js": "module.exports = class {",
    });
    expect((await running.exited).code).toBe(1);
    expect(running.output).toContain("broken.js");
  });

  test("a broken config file ends with exit code 1 and names the file", async () => {
    const running = run({ "src/config/broken.js": "exports.DEFAULT = {" });
    expect((await running.exited).code).toBe(1);
    expect(running.output).toContain("broken.js");
  });

  test.each([
    ["actions/nameless.js", nameless("Action"), "name is required"],
    ["tasks/nameless.js", nameless("Task"), "name is required"],
    [
      "servers/failing.js",
      "exports.A = class { constructor() { throw new Error('no pigeons'); } };",
      "no pigeons",
    ],
  ])(
    "%s ends the boot with exit code 1 and its name",
    async (file, code, why) => {
      const running = run({ [`src/${file}`]: code });
      expect((await running.exited).code).toBe(1);
      expect(running.output).toContain(project.path(`src/${file}`));
      expect(running.output).toContain(why);
    },
  );

  test("a stop that hangs is ended after ACTIONHERO_SHUTDOWN_TIMEOUT", async () => {
    const running = run(
      {
        "src/initializers/hanging.js": `
          module.exports = class {
            constructor() { this.name = "hanging"; this.loadPriority = this.startPriority = this.stopPriority = 1000; }
            validate() {}
            stop() { return new Promise(() => {}); }
          };`,
      },
      { ACTIONHERO_SHUTDOWN_TIMEOUT: "200" },
    );
    await running.printed("*** signalled Started ***");
    running.kill("SIGTERM");
    expect((await running.exited).code).toBe(1);
    expect(running.output).toContain(
      "Process did not terminate within 200ms. Stopping now!",
    );
  });
});
