/** Plugins for version 29, as they are on the registry, in a project of this version. */
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import * as readline from "node:readline";
import { ask } from "../support/ask";
import { freePort } from "../support/freePort";
import { describeInBrowser, startBrowser } from "../support/browser";
import { describeOnRedisWithPeers, peerPath } from "../support/peers";
import { RedisServer } from "../support/redisServer";
import { RemoteNode } from "../support/remoteNode";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";
import { until } from "../support/until";

const PLUGINS = ["ah-resque-ui", "actionhero-socket-server"];

/** A folder of packages in which `actionhero` is this repository. */
function packages(): TemporaryProject {
  const entry = path.join(repositoryRoot, "src", "index.ts");
  const folder = new TemporaryProject({
    "node_modules/actionhero/index.js": `module.exports = require(${JSON.stringify(entry)});`,
    "tasks/fails.js": `
      const { Task } = require("actionhero");
      exports.Fails = class extends Task {
        constructor() {
          super();
          Object.assign(this, { name: "fails", description: "d", queue: "jobs" });
        }
        async run() { throw new Error("it fails"); }
      };`,
  });
  for (const name of PLUGINS) {
    fs.cpSync(peerPath(name), folder.path(`node_modules/${name}`), {
      recursive: true,
    });
  }
  return folder;
}

describeOnRedisWithPeers("plugins for version 29", () => {
  const redis = new RedisServer();
  let folder: TemporaryProject;
  let node: RemoteNode;
  let web: number;
  let tcp: number;

  beforeAll(async () => {
    folder = packages();
    [web, tcp] = [await freePort(), await freePort()];
    await redis.start();
    const paths = Object.fromEntries(
      PLUGINS.map((name) => [
        name,
        { path: folder.path(`node_modules/${name}`) },
      ]),
    );
    node = await RemoteNode.start({
      redisUrl: redis.url,
      overrides: {
        web: { enabled: true, port: web },
        socket: { enabled: true, port: tcp },
        general: { paths: { task: [folder.path("tasks")] } },
      },
      files: {
        "config/plugins.js": `exports.DEFAULT = { plugins: () => (${JSON.stringify(paths)}) };`,
        "config/ah-resque-ui.js": `exports.DEFAULT = { "ah-resque-ui": () => ({ middleware: [] }) };`,
      },
    });
  });

  afterAll(async () => {
    await node.kill();
    await redis.stop();
    folder.remove();
  });

  async function resque(name: string, params = "", method = "GET") {
    const answer = await ask(web, `/api/1/resque/${name}?${params}`, {
      method,
    });
    expect(answer.json.error).toBeUndefined();
    expect(answer.status).toBe(200);
    return answer.json;
  }

  test("ah-resque-ui sees the queue, runs delayed jobs and works on failed ones", async () => {
    await node.run(async ({ task, api, config }) => {
      await task.enqueue("fails", { n: 1 }, "jobs");
      await task.enqueueIn(3_600_000, "fails", { n: 2 }, "jobs");
      await task.enqueue("fails", { n: 3 }, "others");
      config.tasks.queues = ["jobs"];
      Object.assign(config.tasks, {
        minTaskProcessors: 1,
        maxTaskProcessors: 1,
      });
      await api.resque.startMultiWorker();
    });
    await until(async () => {
      const { failedCount } = await resque("resqueFailedCount");
      return failedCount === 1;
    });

    const { redisInfo } = await resque("redisInfo");
    expect(redisInfo.join("\n")).toMatch(/redis_version/);
    const { resqueDetails } = await resque("resqueDetails");
    expect(resqueDetails.queues.others).toMatchObject({ length: 1 });
    expect(resqueDetails.stats).toMatchObject({ failed: "1" });
    const { jobs } = await resque("queued", "queue=others&start=0&stop=9");
    expect(jobs).toMatchObject([{ class: "fails", args: [{ n: 3 }] }]);
    const { failed } = await resque("resqueFailed", "start=0&stop=9");
    expect(failed).toMatchObject([{ error: "it fails", queue: "jobs" }]);

    const { timestampsCount, delayedjobs } = await resque(
      "delayedjobs",
      "start=0&stop=9",
    );
    expect(timestampsCount).toBe(1);
    const [timestamp] = Object.keys(delayedjobs as object);
    await resque("runDelayed", `timestamp=${timestamp}&count=0`, "POST");
    await until(async () => {
      const { failedCount } = await resque("resqueFailedCount");
      return failedCount === 2;
    });

    await resque("removeFailed", "id=0", "POST");
    await resque("retryAndRemoveAllFailed", "", "POST");
    await until(async () => {
      const { resqueDetails } = await resque("resqueDetails");
      return resqueDetails.stats.failed === "3";
    });
    await resque("removeAllFailed", "", "POST");
    expect((await resque("resqueFailedCount")).failedCount).toBe(0);
    await resque("delQueue", "queue=others", "POST");
    expect(
      (await resque("resqueDetails")).resqueDetails.queues,
    ).not.toHaveProperty("others");
  });

  describeInBrowser("in a browser", () => {
    test("the pages of ah-resque-ui show the workers", async () => {
      const browser = await startBrowser();
      try {
        const page = await browser.newPage();
        await page.route(/^https:/, (route) => route.abort()); // its fonts are elsewhere
        const errors: Error[] = [];
        page.on("pageerror", (error) => errors.push(error));
        await page.goto(`http://localhost:${web}/resque`);
        await page.getByText("Resque Overview").waitFor();
        await page.getByText(/Workers \(\d+\)/).waitFor();
        expect(errors).toEqual([]);
      } finally {
        await browser.close();
      }
    });
  });

  test("the socket server of the plugin takes the place of ours", async () => {
    expect(node.lines.join("\n")).toMatch(
      /crit.*an existing server with the same type `socket` will be overridden/,
    );
    const socket = net.connect(tcp, "127.0.0.1");
    const lines = readline.createInterface({ input: socket });
    const answers = lines[Symbol.asyncIterator]();
    const next = async () => JSON.parse((await answers.next()).value);
    const say = (line: string) => socket.write(`${line}\r\n`);

    expect(await next()).toMatchObject({ context: "api" });
    say("randomNumber");
    expect(await next()).toMatchObject({
      randomNumber: expect.any(Number),
      context: "response",
    });
    say(
      JSON.stringify({
        action: "cacheTest",
        params: { key: "key", value: "value" },
      }),
    );
    expect((await next()).cacheTestResults).toBeDefined();
    say("roomAdd nowhere");
    expect((await next()).error).toMatch(/room does not exist/);
    say("roomAdd defaultRoom");
    expect(await next()).toMatchObject({ status: "OK", data: true });
    await node.run(({ chatRoom }) =>
      chatRoom.broadcast({}, "defaultRoom", "hello"),
    );
    expect(await next()).toMatchObject({ message: "hello", context: "user" });
    say("nothing");
    expect((await next()).error).toMatch(/unknown action/);
    say("exit");
    expect(await next()).toMatchObject({ status: "Bye" });
    expect((await answers.next()).done).toBe(true);
  });
});
