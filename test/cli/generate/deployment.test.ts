/** What a new project has for containers and for CI fits the project. */
import * as fs from "fs";
import * as http from "http";
import type { AddressInfo } from "net";
import * as path from "path";
import { parse } from "yaml";
import { generateProject } from "../../../src/cli/generate/project";
import { followDockerfile, parseDockerfile } from "../../support/dockerfile";
import { hasRedis, RedisServer } from "../../support/redisServer";
import { run, runOk } from "../../support/runCli";
import {
  repositoryRoot,
  TemporaryProject,
} from "../../support/temporaryProject";
import { leaveOut } from "../../support/leftOut";

const project = new TemporaryProject();
const read = (name: string) => fs.readFileSync(project.path(name), "utf8");
const { engines, scripts } = (() => {
  const print = jest.spyOn(console, "log").mockImplementation(() => undefined);
  generateProject(project.root);
  print.mockRestore();
  return JSON.parse(read("package.json")) as {
    engines: { node: string };
    scripts: Record<string, string>;
  };
})();
afterAll(() => project.remove());

/** Names of the environment that the project's own files or the framework read. */
const known = new Set(
  [project.path("src"), path.join(repositoryRoot, "src")].flatMap((folder) =>
    fs
      .readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .flatMap((name) => [
        ...fs
          .readFileSync(path.join(folder, name), "utf8")
          .matchAll(
            /(?:\b(?:process\.env|env)\.|\bnumberIn\(\s*")([A-Z][A-Z0-9_]+)/g,
          ),
      ])
      .map(([, name]) => name),
  ),
);

/** Whether the newest release of a major version is one that the project runs on. */
function runsOn(major: number): boolean {
  return engines.node.split("||").some((range) => {
    const [, operator, from] = /^(\^|>=)(\d+)\.\d+$/.exec(range.trim())!;
    return operator === "^" ? major === Number(from) : major >= Number(from);
  });
}

interface Service {
  build?: string;
  image?: string;
  command?: string[];
  environment?: Record<string, string>;
  env_file?: { path: string; required: boolean }[];
  ports?: string[];
  volumes?: string[];
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: { test: string[]; interval: string };
  stop_grace_period?: string;
}
interface Compose {
  services: Record<string, Service>;
  volumes: Record<string, null>;
}
interface Workflow {
  on: string[];
  jobs: Record<
    string,
    {
      strategy: { matrix: { node: number[] } };
      services: Record<string, { image: string; ports: string[] }>;
      env: Record<string, string>;
      steps: { uses?: string; run?: string; with?: Record<string, string> }[];
    }
  >;
}

describe("Dockerfile", () => {
  const instructions = parseDockerfile(read("Dockerfile"));
  const texts = (wanted: string) =>
    instructions.filter(({ name }) => name === wanted).map(({ text }) => text);

  test("its node is one that the project runs on, the same in both stages", () => {
    const majors = texts("FROM").map((from) => /^node:(\d+)-slim\b/.exec(from));
    expect(majors).toHaveLength(2);
    for (const found of majors) expect(runsOn(Number(found![1]))).toBe(true);
    expect(majors[0]![1]).toBe(majors[1]![1]);
  });

  test("it runs scripts of the project, as another user than root", () => {
    const named = texts("RUN").flatMap((line) => [
      ...line.matchAll(/npm run (\S+)/g),
    ]);
    expect(named.map(([, name]) => name)).toEqual(["build"]);
    expect(scripts).toHaveProperty("build");
    expect(texts("USER")).toEqual(["node"]);
    const [, file] = JSON.parse(texts("CMD")[0]) as string[];
    expect(scripts.start).toBe(`node ${file}`);
  });

  test("its health check asks the port of probes, if there is one", async () => {
    const [check] = texts("HEALTHCHECK");
    const [node, ...args] = JSON.parse(
      check.slice(check.indexOf("[")),
    ) as string[];
    const asked: unknown[] = [];
    const probes = http.createServer(({ url }, res) => {
      asked.push(url);
      res.end("{}");
    });
    await new Promise<void>((resolve) => probes.listen(0, resolve));
    const { port } = probes.address() as AddressInfo;
    const exitCode = async (env: Record<string, string>) =>
      (await run(node, args, { env })).exitCode;
    try {
      const HEALTH_PORT = String(port);
      expect(await exitCode({ HEALTH_PORT, PORT: "1" })).toBe(0);
      expect(await exitCode({ HEALTH_PORT: "", PORT: "1" })).toBe(1);
      expect(asked).toEqual(["/readyz"]);
    } finally {
      await new Promise((resolve) => probes.close(resolve));
    }
  });

  test("an instruction that is not known ends the interpreter", async () => {
    const folder = project.path("strange");
    fs.mkdirSync(folder);
    const built = followDockerfile("FROM a\nADD x y", {
      context: project.root,
      folder,
    });
    await expect(built).rejects.toThrow("ADD is not known");
  });
});

describe("compose.yaml", () => {
  const { services, volumes } = parse(read("compose.yaml")) as Compose;
  const { web, redis } = services;

  test("the web server finds the redis beside it, and waits for its health", () => {
    expect(Object.keys(services)).toEqual(["web", "redis"]);
    const { hostname } = new URL(web.environment!.REDIS_URL);
    expect(hostname).toBe("redis");
    expect(web.depends_on).toEqual({ redis: { condition: "service_healthy" } });
    expect(redis.healthcheck!.test).toEqual(["CMD", "redis-cli", "ping"]);
  });

  test("the environment is one that the project reads", () => {
    for (const name of Object.keys(web.environment!))
      expect([name, known.has(name)]).toEqual([name, true]);
    expect(web.environment!.NODE_ENV).toBe("production");
    expect(web.env_file).toEqual([{ path: ".env", required: false }]);
  });

  test("the port is the one that the image tells of", () => {
    const [inside] = web.ports!.map((port) => port.split(":").at(-1));
    expect(web.environment!.PORT).toBe(inside);
    expect(read("Dockerfile")).toMatch(new RegExp(`^EXPOSE ${inside}$`, "m"));
    expect(web.build).toBe(".");
  });

  test("a stop may take longer than the server takes, which is 30 s", () => {
    expect(parseInt(web.stop_grace_period!)).toBeGreaterThan(30);
  });

  test("volumes are declared", () => {
    for (const volume of redis.volumes!)
      expect(volumes).toHaveProperty(volume.split(":")[0]);
  });

  if (hasRedis)
    test("redis takes its options and answers its health check", async () => {
      const [program, ...args] = redis.command!;
      expect(program).toBe("redis-server");
      const server = await new RedisServer().start({ args });
      try {
        const [, tool, ...words] = redis.healthcheck!.test;
        const at = ["-p", String(server.port)];
        expect(await runOk(tool, [...at, ...words])).toBe("PONG\n");
        const kept = ["config", "get", "appendonly"];
        expect(await runOk(tool, [...at, ...kept])).toBe("appendonly\nyes\n");
      } finally {
        await server.stop();
      }
    });
  else leaveOut("the redis of compose.yaml", "redis-server");
});

describe("the workflow", () => {
  const { on, jobs } = parse(read(".github/workflows/test.yml")) as Workflow;
  const { test: job } = jobs;

  test("runs on pushes and pull requests, on what the project runs on", () => {
    expect(on).toEqual(["push", "pull_request"]);
    expect(Object.keys(jobs)).toEqual(["test"]);
    const { node } = job.strategy.matrix;
    expect(node.length).toBeGreaterThan(1);
    expect(node.filter((major) => !runsOn(major))).toEqual([]);
    const setup = job.steps.find(({ uses }) => uses?.includes("setup-node"))!;
    expect(setup.with!["node-version"]).toBe("${{ matrix.node }}");
  });

  test("checks out before it installs, and runs the project's scripts", () => {
    const order = job.steps.map(({ uses, run }) => run ?? uses!.split("@")[0]);
    expect(order).toEqual([
      "actions/checkout",
      "actions/setup-node",
      "npm ci",
      "npm run check",
      "npm test",
    ]);
    expect(scripts).toHaveProperty("test");
  });

  test("its redis is where the project looks for it", () => {
    expect(job.services.redis.ports).toEqual(["6379:6379"]);
    expect(job.env).toEqual({ REDIS_HOST: "localhost" });
    expect(known).toContain("REDIS_HOST");
  });
});

test(".env.example names what the project reads", () => {
  const names = [...read(".env.example").matchAll(/^(?:# )?([A-Z_]+)=/gm)];
  expect(names.length).toBeGreaterThan(5);
  for (const [, name] of names)
    expect([name, known.has(name)]).toEqual([name, true]);
});
