/** A server in development mode, in a process of its own, whose code is changed under it. */
import * as fs from "node:fs";
import * as http from "node:http";
import * as path from "node:path";
import { freePort } from "../support/freePort";
import { Service } from "../support/service";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

const framework = JSON.stringify(path.join(repositoryRoot, "src", "index.ts"));

const greeting = (word: string, action = "greet") => `
import { Action } from ${framework};
import { name } from "../modules/name";
export class Greet extends Action {
  name = "${action}";
  description = "greets";
  async run() { return { greeting: ${JSON.stringify(word)} + " " + name }; }
}
`;

const reporter = (word: string) => `
import { Task, log } from ${framework};
export class Report extends Task {
  name = "report";
  description = "reports";
  async run() { log("reported ${word} by " + process.pid); }
}
`;

const defined = (...names: string[]) => `
import { defineAction } from ${framework};
import { name } from "../modules/name";
const greet = (name_: string) =>
  defineAction({ name: name_, run: () => ({ greeting: name_ + " " + name }) });
${names.map((name, i) => `export const greet${i} = greet("${name}");`).join("\n")}
`;

const definedTask = (...names: string[]) => `
import { defineTask, log } from ${framework};
${names.map((name, i) => `export const report${i} = defineTask({ name: "${name}", run: () => log("${name} runs") });`).join("\n")}
`;

const routes = (path: string) => `
export const DEFAULT = { routes: () => ({ get: [{ path: "${path}", action: "greet" }] }) };
`;

const initializer = (state: string) => `
import { Initializer, api, route } from ${framework};
export class State extends Initializer {
  name = "state";
  async initialize() {
    api.state = "${state}";
    route.registerRoute("get", "/from-code", "greet");
  }
}
`;

let project: TemporaryProject;
let server: Service;
let port: number;
/** One connection for all requests: when it is still there at the end, no change has cut it. */
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
let connections = 0;

beforeAll(async () => {
  project = new TemporaryProject({
    "package.json": JSON.stringify({ name: "live", version: "1.0.0" }),
    "src/server.ts": `
      import { Process } from ${framework};
      const app = new Process();
      app.registerProcessSignals((code) => process.exit(code));
      void app.start();
    `,
    "src/config/general.ts": `
      import * as path from "node:path";
      const below = (name: string) => [path.join(__dirname, "..", name)];
      export const DEFAULT = { general: () => ({
        developmentMode: true,
        paths: {
          action: below("actions"), task: below("tasks"), server: below("servers"),
          initializer: below("initializers"), public: below("public"),
        },
      }) };
    `,
    // the one connection may idle while something is compiled
    "src/config/web.ts": `
      export const DEFAULT = { web: () => ({ keepAliveTimeout: 120_000 }) };
    `,
    "src/config/routes.ts": routes("/old"),
    "src/modules/name.ts": `export const name = "Ada";`,
    "src/actions/greet.ts": greeting("hello"),
    "src/actions.gen.ts": "",
    "src/tasks/report.ts": reporter("early"),
    "src/actions/work.ts": `
      import { Action, task } from ${framework};
      export class Work extends Action {
        name = "work";
        description = "has a worker of the queue run the task";
        async run() { return { enqueued: await task.enqueue("report", {}) }; }
      }
    `,
    "src/actions/tasks.ts": `
      import { Action, api } from ${framework};
      export class Tasks extends Action {
        name = "tasks";
        description = "tells which tasks are loaded";
        async run() { return { tasks: Object.keys(api.tasks.tasks) }; }
      }
    `,
    "src/initializers/state.ts": initializer("first"),
    "src/actions/state.ts": `
      import { Action, api } from ${framework};
      export class ShowState extends Action {
        name = "showState";
        description = "tells what the initializer made";
        async run() { return { state: api.state, pid: process.pid }; }
      }
    `,
  });
  port = await freePort();
  server = new Service(
    process.execPath,
    ["--import", require.resolve("tsx"), "src/server.ts"],
    {
      cwd: project.root,
      env: {
        PORT: String(port),
        NODE_ENV: "development",
        REDIS_URL: undefined,
      },
    },
  );
  await server.saw(/development mode: changes/);
}, 60_000);

afterAll(async () => {
  agent.destroy();
  await server.stop();
  project.remove();
});

interface Answer {
  greeting?: string;
  state?: string;
  enqueued?: boolean;
  tasks?: string[];
  error?: string;
}

function ask(url: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.get(
      { port, path: `/api${url}`, agent },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk) => (text += chunk));
        response.on("end", () => resolve(JSON.parse(text)));
      },
    );
    request.on("socket", (socket) => {
      if (socket.connecting) connections++;
    });
    request.on("error", reject);
  });
}

let reloads = 0;
/** Change the code and wait until the server has taken it. */
async function change(work: () => void): Promise<void> {
  work();
  await server.saw(/: reloaded: /, ++reloads);
}

test("an action is replaced", async () => {
  expect((await ask("/greet")).greeting).toBe("hello Ada");
  await change(() => project.write("src/actions/greet.ts", greeting("hi")));
  expect((await ask("/greet")).greeting).toBe("hi Ada");
});

test("what an action imports is replaced with it", async () => {
  await change(() =>
    project.write("src/modules/name.ts", `export const name = "Bob";`),
  );
  expect((await ask("/greet")).greeting).toBe("hi Bob");
});

test("a syntax error is shown, and the old code remains active", async () => {
  project.write("src/actions/greet.ts", "export class {");
  await server.saw(/not reloaded, the old code remains active/);
  expect((await ask("/greet")).greeting).toBe("hi Bob");
  await change(() => project.write("src/actions/greet.ts", greeting("hey")));
  expect((await ask("/greet")).greeting).toBe("hey Bob");
});

test("an error in what an action imports is shown, and its repair is seen", async () => {
  project.write("src/modules/name.ts", "throw new Error('no name today');");
  await server.saw(/the old code remains active: no name today/);
  expect((await ask("/greet")).greeting).toBe("hey Bob");
  await change(() =>
    project.write("src/modules/name.ts", `export const name = "Cy";`),
  );
  expect((await ask("/greet")).greeting).toBe("hey Cy");
});

test("a new file brings a new action with its route, and takes them away again", async () => {
  const file = "src/actions/bye.ts";
  await change(() => project.write(file, greeting("bye", "bye")));
  expect((await ask("/bye")).greeting).toBe("bye Cy");
  await change(() => fs.rmSync(project.path(file)));
  expect((await ask("/bye")).error).toMatch(/unknown action/);
});

test("the types of the actions are kept, in a project that has their file", async () => {
  const types = () =>
    fs.readFileSync(project.path("src/actions.gen.ts"), "utf8");
  expect(types()).toContain('  "greet": Actions["greet@1"];\n');
  const file = "src/actions/typed.ts";
  await change(() => project.write(file, greeting("hi", "typed")));
  expect(types()).toContain('  "typed": Actions["typed@1"];\n');
  await change(() => fs.rmSync(project.path(file)));
  expect(types()).not.toContain("typed@1");
});

test("a defined action that is renamed or deleted is removed", async () => {
  const file = "src/actions/defined.ts";
  await change(() => project.write(file, defined("one", "two")));
  expect((await ask("/one")).greeting).toBe("one Cy");
  expect((await ask("/two")).greeting).toBe("two Cy");
  await change(() => project.write(file, defined("one", "three")));
  expect((await ask("/one")).greeting).toBe("one Cy");
  expect((await ask("/two")).error).toMatch(/unknown action/);
  expect((await ask("/three")).greeting).toBe("three Cy");
  await change(() => fs.rmSync(project.path(file)));
  expect((await ask("/one")).error).toMatch(/unknown action/);
  expect((await ask("/three")).error).toMatch(/unknown action/);
});

test("a copy of a file takes its actions and tasks only until it is renamed or deleted", async () => {
  const copies = ["src/actions/copy.ts", "src/tasks/copy.ts"];
  await change(() =>
    project.write("src/actions/defined.ts", defined("one", "two")),
  );
  await change(() => project.write(copies[0], defined("one", "two")));
  await server.saw(/action one@1 of .*defined\.ts is replaced by .*copy\.ts/);
  await change(() => project.write(copies[0], defined("one", "four")));
  expect((await ask("/two")).greeting).toBe("two Cy");
  expect((await ask("/four")).greeting).toBe("four Cy");
  await change(() => fs.rmSync(project.path(copies[0])));
  expect((await ask("/one")).greeting).toBe("one Cy");
  await change(() => fs.rmSync(project.path("src/actions/defined.ts")));
  expect((await ask("/one")).error).toMatch(/unknown action/);

  await change(() =>
    project.write("src/tasks/defined.ts", definedTask("first", "second")),
  );
  await change(() => project.write(copies[1], definedTask("first", "other")));
  await change(() => fs.rmSync(project.path(copies[1])));
  expect([...(await ask("/tasks")).tasks!].sort()).toEqual([
    "first",
    "report",
    "second",
  ]);
  await change(() => fs.rmSync(project.path("src/tasks/defined.ts")));
});

test("a defined task that is renamed or deleted is removed, and the types have it no longer", async () => {
  const types = () =>
    fs.readFileSync(project.path("src/actions.gen.ts"), "utf8");
  const file = "src/tasks/defined.ts";
  await change(() => project.write(file, definedTask("first", "second")));
  expect((await ask("/tasks")).tasks).toEqual(["report", "first", "second"]);
  await change(() => project.write(file, definedTask("first", "third")));
  expect((await ask("/tasks")).tasks).toEqual(["report", "first", "third"]);
  expect(types()).not.toContain('"second"');
  await change(() => fs.rmSync(project.path(file)));
  expect((await ask("/tasks")).tasks).toEqual(["report"]);
  expect(types()).not.toContain('"first"');
});

test("a new folder is watched, too", async () => {
  const text = greeting("ciao", "ciao").replace("../", "../../../");
  await change(() => project.write("src/actions/deep/er/ciao.ts", text));
  expect((await ask("/ciao")).greeting).toBe("ciao Cy");
});

test("routes are replaced; those of code stay", async () => {
  expect((await ask("/old")).greeting).toBe("hey Cy");
  await change(() => project.write("src/config/routes.ts", routes("/new")));
  expect((await ask("/new")).greeting).toBe("hey Cy");
  expect((await ask("/old")).error).toMatch(/unknown action/);
  expect((await ask("/from-code")).greeting).toBe("hey Cy");
});

test("a task is replaced, for the workers of its queue, too", async () => {
  const { pid } = server.child;
  expect((await ask("/work")).enqueued).toBe(true);
  await server.saw(new RegExp(`reported early by ${pid}`));
  await change(() => project.write("src/tasks/report.ts", reporter("late")));
  expect((await ask("/work")).enqueued).toBe(true);
  await server.saw(new RegExp(`reported late by ${pid}`));
});

test("none of this has cut a connection", () => {
  expect(connections).toBe(1);
});

test("an initializer restarts the server within its process", async () => {
  const before = await ask("/showState");
  expect(before.state).toBe("first");
  project.write("src/initializers/state.ts", initializer("second"));
  await server.saw(/\*\*\* live Restarted/);
  expect(await ask("/showState")).toMatchObject({
    state: "second",
    pid: server.child.pid,
  });
});

test("an initializer that does not compile leaves the server as it is", async () => {
  project.write("src/initializers/state.ts", "export class {");
  await server.saw(/not reloaded, the old code remains active/, 3);
  expect((await ask("/showState")).state).toBe("second");
});

test("an initializer that fails takes the server down, until it is repaired", async () => {
  project.write(
    "src/initializers/state.ts",
    initializer("third").replace(
      "api.state",
      "throw new Error('nope'); api.state",
    ),
  );
  await server.saw(/the server is down until the code changes/);
  project.write("src/initializers/state.ts", initializer("fourth"));
  await server.saw(/\*\*\* live Restarted/, 2);
  expect((await ask("/showState")).state).toBe("fourth");
});
