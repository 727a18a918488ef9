/** A project of version 3 as a program: `node app.js`, and by the command line. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as path from "node:path";
import * as readline from "node:readline";
import { ask } from "../support/ask";
import { freePort } from "../support/freePort";
import { oldProject } from "../support/oldProject";
import { HIDDEN, run } from "../support/runCli";
import { repositoryRoot } from "../support/temporaryProject";
import { RUN_TYPESCRIPT } from "../support/sources";
import { until } from "../support/until";

const cli = path.join(repositoryRoot, "bin", "actionhero.ts");
const profile = path.join(repositoryRoot, "src", "legacy", "config");
const env = { ...process.env, ...HIDDEN, PROJECT_ROOT: undefined };
const children: ChildProcess[] = [];

function start(script: string, args: string[], more: object = {}) {
  const child = spawn(process.execPath, [...RUN_TYPESCRIPT, script, ...args], {
    cwd: oldProject.root,
    env: { ...env, ...more },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  return child;
}

/** What app.js prints when the server has started. */
async function started(child: ChildProcess): Promise<any> {
  const lines = readline.createInterface({ input: child.stdout! });
  for await (const line of lines) {
    if (!line.startsWith("{")) continue;
    child.stdout!.resume();
    return JSON.parse(line);
  }
  throw new Error("app.js ended without having started");
}

afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  oldProject.remove();
});

test("node app.js answers, with the changes of its start, and stops", async () => {
  const child = start("app.js", []);
  const told = await started(child);
  expect(told).toMatchObject({ initialized: true, serverName: "changed" });
  const { json } = await ask(told.port, "/api/hello?name=x");
  expect(json).toMatchObject({
    greeting: "hello x",
    serverInformation: { serverName: "changed" },
  });
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
}, 60_000);

test("the command line knows such a project by its configuration", async () => {
  const listed = await run(
    process.execPath,
    [...RUN_TYPESCRIPT, cli, "actions-list"],
    {
      cwd: oldProject.root,
      env: { PROJECT_ROOT: undefined, ACTIONHERO_CONFIG: profile },
    },
  );
  expect(listed.stdout).toMatch(/hello/);

  const port = await freePort();
  const overrides = { web: { port, bindIP: "127.0.0.1" } };
  const child = start(cli, ["start"], {
    ACTIONHERO_CONFIG: profile,
    ACTIONHERO_CONFIG_OVERRIDES: JSON.stringify(overrides),
  });
  child.stdout.resume();
  const answer = await until(
    () => ask(port, "/hello?name=x").catch(() => undefined),
    40_000,
  );
  expect(answer.json.greeting).toBe("hello x");
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
}, 90_000);

test("in development mode a changed action is taken into the running server", async () => {
  const child = start("app.js", [], {
    ACTIONHERO_CONFIG_OVERRIDES: JSON.stringify({
      general: { developmentMode: true },
    }),
  });
  const { port } = await started(child);
  const greeting = async () =>
    (await ask(port, "/hello?name=x")).json.greeting as string;
  expect(await greeting()).toBe("hello x");
  const file = oldProject.path("actions/hello.js");
  const code = fs.readFileSync(file, "utf8");
  fs.writeFileSync(file, code.replace('|| "hello"', '|| "changed"'));
  await until(async () => (await greeting()) === "changed x", 20_000);
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
}, 90_000);
