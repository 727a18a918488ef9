import * as http from "http";
import * as path from "path";
import { clusterLine } from "../../../src/cli/cluster/clusterPrimary";
import { RUN_TYPESCRIPT } from "../../support/sources";
import { freePort } from "../../support/freePort";
import { Service } from "../../support/service";
import {
  repositoryRoot,
  TemporaryProject,
} from "../../support/temporaryProject";

test("the lines of the primary are JSON where those of its workers are", () => {
  expect(clusterLine("stopped", "text")).toBe(
    `[cluster ${process.pid}] stopped`,
  );
  expect(JSON.parse(clusterLine("stopped", "json"))).toEqual({
    level: "info",
    message: `[cluster ${process.pid}] stopped`,
    timestamp: expect.stringMatching(/Z$/),
  });
  expect(JSON.parse(clusterLine("died", "json", "error")).level).toBe("error");
});

/** A worker that answers with its pid, and stops as servers do: it finishes what it has begun, and what is on its way. */
const worker = `
const cluster = require("node:cluster");
const http = require("node:http");
const server = http.createServer((req, res) => {
  if (req.url === "/crash") process.exit(7);
  res.setHeader("connection", "close");
  setTimeout(() => res.end(String(process.env.ACTIONHERO_TITLE)), 5);
});
server.listen(Number(process.env.TEST_PORT), () => process.send("ready"));
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => server.close(() => cluster.worker.disconnect()));
process.on("SIGINT", () => undefined);
`;

/** A worker that obeys the primary's messages, and takes `TEST_STOP_MS` for its drain. */
const obedient = `
process.on("SIGTERM", () => console.log("got SIGTERM"));
process.on("message", ({ actionhero: word }) => {
  console.log(process.env.ACTIONHERO_TITLE + " told: " + word);
  if (word === "leave" || word === "stop now") process.exit(0);
  if (word === "stop") setTimeout(() => process.exit(0), Number(process.env.TEST_STOP_MS));
});
process.send({ actionhero: { drainDelay: 600000 } });
process.send("ready");
`;

const primaryScript = `
import cluster from "node:cluster";
import { ClusterPrimary } from ${JSON.stringify(path.join(repositoryRoot, "src/cli/cluster/clusterPrimary"))};
cluster.setupPrimary({ exec: process.argv[2], execArgv: [] });
const primary = new ClusterPrimary({
  workers: 2,
  titlePrefix: "w",
  shutdownTimeoutMs: Number(process.env.TEST_TIMEOUT ?? 20000),
  report: (message, level = "info") => console.log(level + ": " + message),
  status: (text) => console.log("status: " + text),
});
process.on("SIGUSR2", () => primary.restart());
process.on("SIGTTIN", () => primary.add());
process.on("SIGTTOU", () => primary.remove());
process.on("SIGTERM", () => primary.stop());
primary.run().then((code) => process.exit(code));
`;

class Cluster extends Service {
  constructor(
    folder: TemporaryProject,
    readonly port: number,
    script = "worker.js",
    env: Record<string, string> = {},
  ) {
    super(
      process.execPath,
      [...RUN_TYPESCRIPT, folder.path("primary.ts"), folder.path(script)],
      { cwd: folder.root, env: { TEST_PORT: String(port), ...env } },
    );
  }
}

function ask(port: number, url = "/"): Promise<string> {
  return new Promise((resolve, reject) => {
    http
      .get({ port, path: url, agent: false }, (res) => {
        let body = "";
        res.setEncoding("utf8").on("data", (text) => (body += text));
        res.on("end", () => resolve(body));
        res.on("error", reject);
      })
      .on("error", reject);
  });
}

let folder: TemporaryProject;
let running: Cluster;

beforeAll(() => {
  folder = new TemporaryProject({
    "primary.ts": primaryScript,
    "worker.js": worker,
    "failing.js": "process.exit(9)",
    "unclean.js": `process.send("ready"); process.on("SIGTERM", () => process.exit(1));`,
    "obedient.js": obedient,
  });
});

afterEach(() => (running as Cluster | undefined)?.stop());
afterAll(() => folder.remove());

test("a rolling restart under load replaces every worker and fails no request", async () => {
  running = new Cluster(folder, await freePort());
  await running.saw(/serves after/, 2);

  let asking = true;
  const answers = new Set<string>();
  const load = Array.from({ length: 8 }, async () => {
    while (asking) answers.add(await ask(running.port));
  });
  running.child.kill("SIGUSR2");
  await running.saw(/rolling restart done/);
  asking = false;
  await Promise.all(load);

  const after = new Set<string>();
  for (let i = 0; i < 20; i++) after.add(await ask(running.port));
  expect([...after].sort()).toEqual(["w3", "w4"]);

  const told = running.lines.filter((line) => line.startsWith("status: "));
  expect(told).toContain("status: 0 of 2 workers serve");
  expect(told).toContain("status: rolling restart: replacing worker 2 of 2");
  expect(told.at(-1)).toBe("status: undefined");
});

test("a worker that ends is replaced", async () => {
  running = new Cluster(folder, await freePort());
  await running.saw(/serves after/, 2);
  await expect(ask(running.port, "/crash")).rejects.toThrow();
  await running.saw(/^error: .* ended with code 7: a new one starts in 100 ms/);
  await running.saw(/serves after/, 3);
});

test("workers are added and removed by signals; the last one stays", async () => {
  running = new Cluster(folder, await freePort());
  await running.saw(/serves after/, 2);
  running.child.kill("SIGTTIN");
  await running.saw(/adding a worker: 3 in all/);
  await running.saw(/serves after/, 3);
  running.child.kill("SIGTTOU");
  await running.saw(/removing a worker: 2 left/);
  await running.saw(/stopped$/, 1);
  running.child.kill("SIGTTOU");
  await running.saw(/stopped$/, 2);
  running.child.kill("SIGTTOU");
  await running.saw(/the last worker stays/);
  expect(await ask(running.port)).toBe("w1");
});

test("a stop ends all workers, and the cluster with 0", async () => {
  running = new Cluster(folder, await freePort());
  await running.saw(/serves after/, 2);
  running.child.kill("SIGTERM");
  expect(await running.exit).toEqual([0, null]);
  expect(running.lines.filter((line) => / stopped$/.test(line))).toHaveLength(
    2,
  );
});

test("a cluster whose workers never serve gives up with 1", async () => {
  running = new Cluster(folder, await freePort(), "failing.js");
  await running.saw(/^error: .* ended with code 9: giving up/);
  expect(await running.exit).toEqual([1, null]);
});

describe("workers that obey messages", () => {
  const told = () =>
    running.lines
      .map((line) => /^(w\d+) told: (.*)/.exec(line)?.slice(1).join(" "))
      .filter((line) => line !== undefined)
      .sort();

  test("leave without a drain when they are replaced or removed, and drain when the cluster stops", async () => {
    running = new Cluster(folder, await freePort(), "obedient.js", {
      TEST_STOP_MS: "600000",
    });
    await running.saw(/serves after/, 2);
    running.child.kill("SIGUSR2");
    await running.saw(/rolling restart done/);
    await running.saw(/told: join/, 2);
    running.child.kill("SIGTTOU");
    await running.saw(/told: leave/, 3);
    await running.saw(/stopped$/, 3);
    running.child.kill("SIGTERM");
    await running.saw(/told: stop$/);
    running.child.kill("SIGTERM"); // ends the drain
    expect(await running.exit).toEqual([0, null]);
    expect(told()).toEqual(
      [
        ["w1 leave", "w2 leave", "w3 join"],
        ["w3 stop", "w3 stop now", "w4 join", "w4 leave"],
      ].flat(),
    );
    expect(running.lines).not.toContain("got SIGTERM");
  });

  test("have their drain in addition to the time of a stop", async () => {
    running = new Cluster(folder, await freePort(), "obedient.js", {
      TEST_STOP_MS: "1500",
      TEST_TIMEOUT: "1",
    });
    await running.saw(/serves after/, 2);
    running.child.kill("SIGTERM");
    expect(await running.exit).toEqual([0, null]);
    expect(running.lines.filter((line) => /killed/.test(line))).toEqual([]);
  });
});

test("a cluster ends with 1 when a stop of a worker failed", async () => {
  running = new Cluster(folder, await freePort(), "unclean.js");
  await running.saw(/serves after/, 2);
  running.child.kill("SIGTERM");
  expect(await running.exit).toEqual([1, null]);
});
