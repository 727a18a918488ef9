/** What a new project does differently from a v29 project, as its clients see it. */
import * as fs from "fs";
import { parseEnv } from "util";
import { ask } from "../../support/ask";
import {
  generatedProject,
  runProject,
  startProject,
  type StartedProject,
} from "../../support/generatedProject";
import { runCli } from "../../support/runCli";
import { buildConfigs } from "../../support/profiles";

const project = generatedProject();
const started: StartedProject[] = [];
afterAll(async () => {
  await Promise.all(started.map(({ service }) => service.stop()));
  project.remove();
});

async function start(env: Record<string, string | undefined> = {}) {
  const server = await startProject(project, env);
  started.push(server);
  return server;
}

const post = (body: object) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

describe("in development", () => {
  let port: number;
  beforeAll(async () => {
    ({ port } = await start());
  });

  describe("createChatRoom", () => {
    test("is reached by POST only", async () => {
      const path = "/api/createChatRoom";
      const { status, headers } = await ask(port, `${path}?name=linked`);
      expect([status, headers.allow]).toEqual([405, "POST, OPTIONS"]);
      const { json } = await ask(port, path, post({ name: "posted" }));
      expect(json).toMatchObject({ name: "posted", didCreate: true });
    });

    test("takes a name of at most 256 bytes", async () => {
      const create = (name: unknown) =>
        ask(port, "/api/createChatRoom", post({ name }));
      expect((await create("é".repeat(128))).json.didCreate).toBe(true);
      const { json } = await create("é".repeat(128) + "x");
      expect(json.error).toBe("name must have at most 256 bytes");
    });
  });
});

test("servers share a log file, and commands write to none", async () => {
  const logged = generatedProject();
  const lines = () =>
    fs
      .readFileSync(logged.path("log/development.log"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { id: string });
  try {
    await runCli(["task", "list"], { cwd: logged.root });
    expect(fs.existsSync(logged.path("log/development.log"))).toBe(false);
    for (const id of ["a", "b"]) {
      const { service } = await startProject(logged, { ACTIONHERO_TITLE: id });
      await service.stop();
    }
    expect(fs.readdirSync(logged.path("log"))).toEqual(["development.log"]);
    expect(new Set(lines().map(({ id }) => id))).toEqual(new Set(["a", "b"]));
  } finally {
    logged.remove();
  }
});

describe("in production", () => {
  let port: number;
  beforeAll(async () => {
    ({ port } = await start({ NODE_ENV: "production" })); // with the token in .env
  });

  test("status says only that the server is healthy", async () => {
    const { status, json } = await ask(port, "/api/status");
    expect([status, json]).toEqual([200, { status: "healthy" }]);
  });

  test("swagger is not found", async () => {
    const { status } = await ask(port, "/api/swagger");
    expect(status).toBe(404);
  });

  test("it does not start without a token", async () => {
    const service = runProject(project, {
      PORT: "0",
      NODE_ENV: "production",
      ACTIONHERO_SERVER_TOKEN: "change-me", // goes before the one in .env
    });
    const [exitCode] = await service.exit;
    expect(exitCode).toBe(1);
    expect(service.lines.join("\n")).toContain(
      "general.serverToken is not set: set ACTIONHERO_SERVER_TOKEN to a secret that all nodes share",
    );
  });
});

describe("general.serverToken", () => {
  const tokens = (environment: "development" | "test" | "production") =>
    buildConfigs(project.root, environment).map((config) =>
      config.get("general.serverToken"),
    );

  test.each(["development", "test"] as const)(
    "is random for each process in %s, and shared by those that share redis",
    (environment) => {
      const [embedded, onRedis] = tokens(environment);
      expect(embedded).toMatch(/^[0-9a-f]{64}$/);
      expect(onRedis).toMatch(/^(change-me|serverToken-\d+)$/);
      const [next, nextOnRedis] = tokens(environment);
      expect(next).not.toBe(embedded);
      expect(nextOnRedis).toBe(onRedis);
    },
  );

  test("is empty in production without the variable", () => {
    expect(tokens("production")).toEqual(["", ""]);
  });

  test("of .env.example is none, so that a copy does not hide that it is missing", () => {
    const example = fs.readFileSync(project.path(".env.example"), "utf8");
    expect(example).toMatch(/^# ACTIONHERO_SERVER_TOKEN=$/m);
    expect(parseEnv(example)).not.toHaveProperty("ACTIONHERO_SERVER_TOKEN");
  });
});
