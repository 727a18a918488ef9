/** `/readyz` while redis responds, and refuses writes. */
import * as path from "node:path";
import { Redis } from "ioredis";
import { checkRedis } from "../../src/cli/doctor/redis";
import { ask } from "../support/ask";
import { freePort } from "../support/freePort";
import { linkedProject } from "../support/generatedProject";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { Service } from "../support/service";
import { RUN_TYPESCRIPT } from "../support/sources";
import {
  repositoryRoot,
  type TemporaryProject,
} from "../support/temporaryProject";
import { until } from "../support/until";

const FILES = {
  "src/config/all.js": `exports.DEFAULT = {
    general: () => ({
      paths: { initializer: [], action: [], task: [], server: [], public: [],
        cli: [], pid: [__dirname + "/../../pids"], log: [__dirname + "/../../log"] },
    }),
    health: () => ({ enabled: true, cacheFor: 0 }),
    socket: () => ({ enabled: false }),
    web: () => ({ port: Number(process.env.PORT) }),
    websocket: () => ({ enabled: false }),
  };`,
};

describeOnRedis("a redis that refuses writes", () => {
  let project: TemporaryProject;
  let server: RedisServer;
  let admin: Redis;
  let running: Service;
  let port: number;

  beforeAll(async () => {
    project = linkedProject(FILES);
    server = await new RedisServer().start();
    admin = new Redis(server.port);
    port = await freePort();
    running = new Service(
      process.execPath,
      [...RUN_TYPESCRIPT, path.join(repositoryRoot, "src/server.ts")],
      {
        cwd: project.root,
        env: {
          JEST_WORKER_ID: undefined,
          NODE_ENV: "development",
          PORT: String(port),
          REDIS_URL: server.url,
        },
      },
    );
    await running.saw(/\*\*\* .* Started \*\*\*/);
  }, 60_000);
  afterAll(async () => {
    await running.stop("SIGKILL");
    admin.disconnect();
    await server.stop();
    project.remove();
  });

  const status = async () => (await ask(port, "/readyz")).status;
  const doctor = async () =>
    (
      await checkRedis(
        {
          client: { konstructor: Redis, args: [server.port], buildNew: true },
        },
        "production",
      )
    ).find(({ check }) => check === "redis writes");

  test.each([
    [
      "a replica",
      () => admin.call("REPLICAOF", "127.0.0.1", "1"),
      () => admin.call("REPLICAOF", "NO", "ONE"),
      /READONLY/,
    ],
    [
      "a full one",
      () => admin.config("SET", "maxmemory", "1"),
      () => admin.config("SET", "maxmemory", "0"),
      /OOM/,
    ],
  ])(
    "such as %s, makes the process not ready, until it accepts them, and doctor fail",
    async (_what, refuse, accept, reason) => {
      expect(await status()).toBe(200);
      expect((await doctor())?.verdict).toBe("ok");
      await refuse();
      await until(async () => (await status()) === 503);
      const finding = await doctor();
      expect(finding?.verdict).toBe("fail");
      expect(finding?.message).toMatch(reason);
      expect((await ask(port, "/healthz")).status).toBe(200);
      await accept();
      await until(async () => (await status()) === 200);
      expect(await admin.exists("actionhero:ah:probe")).toBe(0);
    },
    60_000,
  );
});
