/** `/readyz` of a port that the workers of a cluster share: what load balancers read while workers come and go. */
import * as http from "node:http";
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
import { until } from "../support/until";

const source = (file: string) =>
  JSON.stringify(path.join(repositoryRoot, "src", file));

const PRIMARY = `
import cluster from "node:cluster";
import { ClusterPrimary } from ${source("cli/cluster/clusterPrimary")};
cluster.setupPrimary({ exec: process.argv[2] });
const primary = new ClusterPrimary({
  workers: 2,
  titlePrefix: "w",
  shutdownTimeoutMs: 20000,
  report: (message) => console.log(message),
});
process.on("SIGUSR2", () => primary.restart());
process.on("SIGTTOU", () => primary.remove());
process.on("SIGTERM", () => primary.stop());
primary.run().then((code) => process.exit(code));
`;

/** A drain that no test waits for, and a boot that goes on for a while after the servers listen. */
const FILES = {
  "primary.ts": PRIMARY,
  "src/config/all.js": `exports.DEFAULT = {
    general: () => ({
      drainDelay: 600_000,
      paths: { initializer: [__dirname + "/../initializers"], action: [], task: [], server: [], public: [],
        cli: [], pid: [__dirname + "/../../pids"], log: [__dirname + "/../../log"] },
    }),
    health: () => ({ enabled: true, cacheFor: 0 }),
    socket: () => ({ enabled: false }),
    web: () => ({ port: Number(process.env.PORT), healthPort: Number(process.env.HEALTH_PORT) || undefined }),
    websocket: () => ({ enabled: false }),
  };`,
  "src/initializers/slow.js": `
    module.exports = class {
      constructor() { this.name = "slow"; this.loadPriority = this.startPriority = this.stopPriority = 1000; }
      validate() {}
      async start() { await new Promise((resolve) => setTimeout(resolve, 1000)); }
    };`,
};

/** A probe that asks again and again, and what it was answered. */
class Probe {
  readonly seen: string[] = [];
  private isOn = true;
  private readonly ended: Promise<void>;

  /** @param agent how it connects (default: anew for each request) */
  constructor(
    private readonly port: number,
    private readonly agent = new http.Agent(),
  ) {
    this.ended = this.run();
  }

  async stop(): Promise<void> {
    this.isOn = false;
    await this.ended;
    this.agent.destroy();
  }

  private async run(): Promise<void> {
    while (this.isOn) {
      const { agent } = this;
      const { status, json } = await ask(this.port, "/readyz", { agent });
      this.seen.push(`${status} ${String(json.status)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

const keepAlive = () => new http.Agent({ keepAlive: true, maxSockets: 1 });

let project: TemporaryProject;
let running: Service;

async function start(healthPort: number | undefined): Promise<number> {
  const port = await freePort();
  running = new Service(
    process.execPath,
    [
      ...RUN_TYPESCRIPT,
      project.path("primary.ts"),
      path.join(repositoryRoot, "src/server.ts"),
    ],
    {
      cwd: project.root,
      env: {
        JEST_WORKER_ID: undefined,
        NODE_ENV: "development",
        PORT: String(port),
        HEALTH_PORT: String(healthPort ?? ""),
      },
    },
  );
  await running.saw(/serves after/, 2);
  return healthPort ?? port;
}

beforeAll(() => {
  project = linkedProject(FILES);
});
afterEach(() => running?.stop("SIGKILL"));
afterAll(() => project.remove());

test.each(["the web server's port", "a port of its own"])(
  "on %s, workers that are replaced or removed leave it ready, and a stop of the cluster does not",
  async (where) => {
    const own = where === "a port of its own" ? await freePort() : undefined;
    const port = await start(own);
    // probes of a port of its own are cut at the end of the stop, as if it were a single process
    const agents = own === undefined ? [keepAlive(), keepAlive()] : [];
    const probes = [new Probe(port), ...agents.map((a) => new Probe(port, a))];

    running.child.kill("SIGUSR2");
    await running.saw(/rolling restart done/);
    running.child.kill("SIGTTOU");
    await running.saw(/\) stopped$/, 3);
    for (const probe of probes) {
      await probe.stop();
      expect(new Set(probe.seen)).toEqual(new Set(["200 ready"]));
    }

    running.child.kill("SIGTERM");
    await until(async () => (await ask(port, "/readyz")).status === 503);
    for (let i = 0; i < 5; i++)
      expect((await ask(port, "/readyz")).json.status).toBe("stopping");
    running.child.kill("SIGTERM"); // ends the drain
    expect(await running.exit).toEqual([0, null]);
  },
  120_000,
);

test("SIGTERM to all processes of the cluster, as of systemd, does not end the drain", async () => {
  const port = await start(undefined);
  const pids = running.lines.flatMap((line) =>
    (/\(pid (\d+)\) serves/.exec(line) ?? []).slice(1).map(Number),
  );
  running.child.kill("SIGTERM");
  await running.saw(/serving on for/, 2);
  for (const pid of pids) process.kill(pid, "SIGTERM");
  await running.saw(/\[ SIGNAL \] - SIGTERM/, 2);
  expect((await ask(port, "/readyz")).json.status).toBe("stopping");
  for (const pid of pids) process.kill(pid, "SIGTERM"); // now each has two
  expect(await running.exit).toEqual([0, null]);
}, 120_000);
