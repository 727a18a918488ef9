/** A new project on runtimes other than Node.js: it starts, every transport answers, a job runs, and it stops with code 0. */
import { spawnSync } from "child_process";
import { once } from "events";
import * as fs from "fs";
import * as net from "net";
import * as path from "path";
import * as readline from "readline";
import { ask } from "../support/ask";
import { leaveOut } from "../support/leftOut";
import { freePort } from "../support/freePort";
import { generateQuietly } from "../support/generatedProject";
import { packPackage } from "../support/packedPackage";
import { runOk } from "../support/runCli";
import { Service } from "../support/service";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";
import { until } from "../support/until";
import { connectWebsocket } from "../support/websocketClient";

/** How each runtime starts the compiled server. */
const RUNTIMES: Record<string, string[]> = {
  node: [],
  bun: [],
  deno: ["run", "--allow-all"],
};
const isInstalled = (command: string) =>
  spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
const installed = Object.keys(RUNTIMES).filter(isInstalled);

/** Shows params, files and what a job has left. */
const ACTION = `
import { Action, cache, file, task, type ParamsFrom } from "actionhero";

export class Try extends Action {
  override inputs = { word: {}, upload: file() };

  constructor() {
    super();
    this.name = "try";
    this.description = "tries the runtime";
  }

  async run({ params }: { params: ParamsFrom<Try> }) {
    if (params.word === "enqueue") await task.enqueue("leave", {});
    const left = await cache.load("left").catch(() => ({ value: null }));
    return { word: params.word, size: params.upload?.size, left: left.value };
  }
}
`;
const TASK = `
import { cache, Task } from "actionhero";

export class Leave extends Task {
  constructor() {
    super();
    this.name = "leave";
    this.description = "leaves something in the cache";
  }

  async run() {
    await cache.save("left", "by the job");
  }
}
`;

let project: TemporaryProject;

beforeAll(async () => {
  project = new TemporaryProject();
  if (installed.length < 2) return; // node alone: the other suites of this folder are about it
  const tarball = await packPackage(project.path("packed"));
  const modules = path.join(repositoryRoot, "node_modules");
  fs.mkdirSync(project.path("node_modules/actionhero"), { recursive: true });
  for (const name of fs.readdirSync(modules))
    if (!name.startsWith(".") && name !== "actionhero")
      fs.symlinkSync(
        path.join(modules, name),
        project.path(`node_modules/${name}`),
      );
  const into = project.path("node_modules/actionhero");
  await runOk("tar", ["-xzf", tarball, "--strip-components=1", "-C", into]);
  generateQuietly(project.root);
  project.write("src/actions/try.ts", ACTION);
  project.write("src/tasks/leave.ts", TASK);
  const tsc = require.resolve("typescript/bin/tsc");
  await runOk(process.execPath, [tsc], { cwd: project.root });
}, 300_000);

afterAll(() => project.remove());

for (const runtime of Object.keys(RUNTIMES)) {
  if (installed.length > 1 && installed.includes(runtime)) {
    test(`a new project works on ${runtime}`, () => smoke(runtime), 120_000);
    continue;
  }
  leaveOut(`a new project on ${runtime}`, "it or another runtime");
}

async function smoke(runtime: string): Promise<void> {
  const [port, socketPort] = [await freePort(), await freePort()];
  const service = new Service(
    runtime,
    [...RUNTIMES[runtime], "dist/server.js"],
    {
      cwd: project.root,
      env: {
        NODE_ENV: "development",
        PORT: String(port),
        ENABLE_TCP_SERVER: "true",
        ACTIONHERO_CONFIG_OVERRIDES: JSON.stringify({
          socket: { port: socketPort },
        }),
        REDIS_URL: undefined,
        REDIS_HOST: undefined,
      },
    },
  );
  await service.saw(/\*\*\* .* Started \*\*\*/);

  // HTTP: an action, a file, an upload
  const path = "/api/try";
  expect((await ask(port, `${path}?word=http`)).json.word).toBe("http");
  expect((await ask(port, "/")).text).toContain("<html");
  const form = new FormData();
  form.set("upload", new Blob(["12345"]), "five.txt");
  const uploaded = await fetch(`http://localhost:${port}${path}`, {
    method: "POST",
    body: form,
  });
  expect(await uploaded.json()).toMatchObject({ size: 5 });

  // websocket
  const url = `ws://localhost:${port}/primus`;
  const client = await connectWebsocket({ url });
  const said = await client.action("try", { word: "websocket" });
  expect(said.word).toBe("websocket");
  await client.request({ event: "roomAdd", room: "defaultRoom" });

  // TCP
  const socket = net.connect(socketPort, "127.0.0.1");
  const lines = readline.createInterface({ input: socket });
  await once(lines, "line"); // the welcome
  socket.write("try word=tcp\n");
  const [line] = (await once(lines, "line")) as [string];
  expect(JSON.parse(line)).toMatchObject({ word: "tcp" });

  // a job, and the cache
  await ask(port, `${path}?word=enqueue`);
  await until(
    async () => (await ask(port, path)).json.left === "by the job",
    undefined,
    "the job ran",
  );

  const stopped = service.stop();
  await client.closed;
  socket.destroy();
  expect(await stopped).toBe(0);
}
