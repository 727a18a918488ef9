/** `web.healthPort` during the first half of a boot: while initializers initialize, and while redis does not respond. */
import * as net from "node:net";
import type { AddressInfo } from "node:net";
import * as path from "node:path";
import { ask } from "../support/ask";
import { freePort } from "../support/freePort";
import { linkedProject } from "../support/generatedProject";
import { Service } from "../support/service";
import { RUN_TYPESCRIPT } from "../support/sources";
import {
  repositoryRoot,
  type TemporaryProject,
} from "../support/temporaryProject";

/** An initializer before all others, which waits for a signal. */
const FILES = {
  "src/config/all.js": `exports.DEFAULT = {
    general: () => ({
      paths: { initializer: [__dirname + "/../initializers"], action: [], task: [], server: [], public: [],
        cli: [__dirname + "/../bin"], pid: [__dirname + "/../../pids"], log: [__dirname + "/../../log"] },
    }),
    health: () => ({ enabled: true, cacheFor: 0 }),
    socket: () => ({ enabled: false }),
    web: () => ({ port: Number(process.env.PORT), healthPort: Number(process.env.HEALTH_PORT) }),
    websocket: () => ({ enabled: false }),
  };`,
  "src/initializers/slow.js": `
    module.exports = class {
      constructor() { this.name = "slow"; this.loadPriority = 1; }
      validate() {}
      async initialize() {
        if (process.env.WAITS === undefined) return;
        const gone = new Promise((resolve) => process.once("SIGWINCH", resolve));
        console.log("initializing");
        await gone;
        if (process.env.WAITS === "fails") throw new Error("no migration");
      }
    };`,
};

let project: TemporaryProject;
let running: Service;
let healthPort: number;

async function run(
  words: string[],
  env: Record<string, string | undefined>,
): Promise<void> {
  healthPort = await freePort();
  running = new Service(process.execPath, [...RUN_TYPESCRIPT, ...words], {
    cwd: project.root,
    env: {
      JEST_WORKER_ID: undefined,
      NODE_ENV: "development",
      PORT: String(await freePort()),
      HEALTH_PORT: String(healthPort),
      ...env,
    },
  });
}

const SERVER = [path.join(repositoryRoot, "src/server.ts")];
const COMMAND = [path.join(repositoryRoot, "bin/actionhero.ts")];

async function probe(url: string): Promise<unknown[]> {
  const { status, json } = await ask(healthPort, url);
  return [status, json.status];
}

beforeAll(() => {
  project = linkedProject(FILES);
});
afterEach(() => running?.stop("SIGKILL"));
afterAll(() => project.remove());

test("a process is alive, and not ready, while an initializer initializes", async () => {
  await run(SERVER, { WAITS: "1" });
  await running.saw(/^initializing/);
  expect(await probe("/healthz")).toEqual([200, "alive"]);
  expect(await probe("/readyz")).toEqual([503, "starting"]);
  running.child.kill("SIGWINCH");
  await running.saw(/\*\*\* .* Started \*\*\*/);
  expect(await probe("/healthz")).toEqual([200, "alive"]);
  expect(await probe("/readyz")).toEqual([200, "ready"]);
  expect(await running.stop()).toBe(0);
}, 60_000);

test("a process is alive while it waits for a redis that does not respond", async () => {
  const silent = net.createServer((socket) => void socket.resume());
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const connected = new Promise((resolve) =>
    silent.once("connection", resolve),
  );
  try {
    await run(SERVER, {
      REDIS_HOST: "127.0.0.1",
      REDIS_PORT: String((silent.address() as AddressInfo).port),
    });
    await connected;
    expect(await probe("/healthz")).toEqual([200, "alive"]);
    expect(await probe("/readyz")).toEqual([503, "starting"]);
  } finally {
    await running.stop("SIGKILL");
    silent.close();
  }
}, 60_000);

test("the port is closed when an initializer fails, and the process ends", async () => {
  await run(SERVER, { WAITS: "fails" });
  await running.saw(/^initializing/);
  expect(await probe("/healthz")).toEqual([200, "alive"]);
  running.child.kill("SIGWINCH");
  expect(await running.exit).toEqual([1, null]);
}, 60_000);

test("a command that initializes the project does not take the port", async () => {
  await run([...COMMAND, "actions", "list"], { WAITS: "1" });
  await running.saw(/^initializing/);
  await expect(probe("/healthz")).rejects.toThrow("ECONNREFUSED");
  running.child.kill("SIGWINCH");
  expect(await running.exit).toEqual([0, null]);
}, 60_000);
