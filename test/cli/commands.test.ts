/** The built-in commands, run as programs: in this repository, which is a project, and in small ones. */
import { once } from "node:events";
import * as fs from "fs";
import * as net from "node:net";
import * as path from "path";
import { cliArguments, run, runCli } from "../support/runCli";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

const here = (...words: string[]) => runCli(words, { cwd: repositoryRoot });

describe("actions-list", () => {
  test("prints names, versions, descriptions and inputs", async () => {
    const { stdout, stderr, exitCode } = await here("actions-list");
    expect(stdout).toMatch(
      /\r\n--- status ---\n {2}version: 1\n {4}\S.*\n {4}inputs:\n/,
    );
    expect(stdout).toMatch(/\n {6}key: \{"required":true/);
    expect(stdout).not.toContain("notice"); // log lines go to stderr
    expect(stderr).not.toContain("Error");
    expect(exitCode).toBe(0);
  });

  test("actions-list prints JSON, also when it is written as two words", async () => {
    const { stdout } = await here("actions", "list", "--json");
    expect(JSON.parse(stdout)).toContainEqual(
      expect.objectContaining({ name: "randomNumber", version: 1, inputs: {} }),
    );
  });
});

describe("routes-list", () => {
  test("prints a table", async () => {
    const { stdout, exitCode } = await here("routes", "list");
    const [head, , ...rows] = stdout.split("\n");
    expect(head.split(/ +/)).toEqual([
      "method",
      "path",
      "action",
      "apiVersion",
      "source",
    ]);
    expect(rows.map((row) => row.split(/ +/).join(" "))).toContain(
      "POST /cacheTest cacheTest latest automatic",
    );
    expect(exitCode).toBe(0);
  });

  test("prints JSON, and only that on stdout", async () => {
    const { stdout } = await here("routes-list", "--json");
    expect(JSON.parse(stdout)).toContainEqual({
      method: "GET",
      path: "/status",
      action: "status",
      apiVersion: "latest",
      source: "config",
    });
  });
});

describe("action-run", () => {
  test("an action that does not exist is named, with the one that was meant", async () => {
    const { stderr, exitCode } = await here("action", "run", "cacheTset");
    expect(stderr).toContain(
      'Error: there is no action `cacheTset` (did you mean "cacheTest"?)\n',
    );
    expect(stderr).not.toContain("[ action @");
    expect(exitCode).toBe(1);
  });

  test("prints the response, and only that on stdout", async () => {
    const words = ["action", "run", "cacheTest", "--params"];
    const { stdout, stderr, exitCode } = await here(
      ...words,
      '{"key": "colour", "value": "blue"}',
    );
    expect(JSON.parse(stdout).cacheTestResults.loadResp).toMatchObject({
      key: "cacheTest_colour",
      value: "blue",
    });
    expect(stderr).toContain("action=cacheTest"); // the log is there
    expect(stderr).toMatch(
      /has joined the cluster[^]*\*\*\* .* Started \*\*\*/,
    );
    expect(stderr).not.toContain("Starting server");
    expect(exitCode).toBe(0);
  });

  test("takes params as flags, and describes them", async () => {
    const words = ["action-run", "cacheTest", "--key=colour"];
    const [ran, helped, refused] = await Promise.all([
      here(...words, "--value", "blue", "--params", '{"value": "red"}'),
      here("action", "run", "cacheTest", "--help"),
      here(...words, "--worth=1"),
    ]);
    expect(JSON.parse(ran.stdout).cacheTestResults.loadResp.value).toBe("blue");
    expect(helped.stdout).toMatch(
      /^Usage: actionhero action-run .*\n.*^Inputs of cacheTest:\n {2}--key <text> +\(required\)\n/ms,
    );
    expect(helped.exitCode).toBe(0);
    expect(refused.stderr).toMatch(
      /^Error: cacheTest has no input --worth; it has --key, --value$/m,
    );
    expect(refused.exitCode).toBe(1);
  });

  test("ends with 1 for the action's error", async () => {
    const { stdout, stderr, exitCode } = await here("action-run", "cacheTest");
    expect(stdout).toBe("");
    expect(stderr).toMatch(
      /^Error: key is a required parameter for this action$/m,
    );
    expect(exitCode).toBe(1);
  });

  test("refuses a value that is not a JSON object", async () => {
    const { stderr, exitCode } = await here(
      "action-run",
      "status",
      "--params=[1]",
    );
    expect(stderr).toBe(
      "error: option '-p, --params <params>' argument '[1]' is invalid. it must be a JSON object\n",
    );
    expect(exitCode).toBe(1);
  });

  test("ports of the health and the metrics are left to the server that runs beside it", async () => {
    const taken = net.createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as net.AddressInfo;
    const project = new TemporaryProject({
      "package.json": JSON.stringify({ name: "beside", version: "1.0.0" }),
      "src/config/web.js": `exports.DEFAULT = { web: () => ({ bindIP: "127.0.0.1", healthPort: ${port} }) };`,
      "src/config/metrics.js": `exports.DEFAULT = { metrics: () => ({ enabled: true, port: ${port} }) };`,
    });
    const { stdout, exitCode } = await runCli(["action-run", "status"], {
      cwd: project.root,
    });
    taken.close();
    project.remove();
    expect(JSON.parse(stdout)).toHaveProperty("uptime");
    expect(exitCode).toBe(0);
  });

  test("a pipe whose reader comes late gets the whole output", async () => {
    const value = "\n".repeat(100_000); // two characters each in JSON: more than a pipe holds
    const words = ["action-run", "cacheTest", "--key=long", `--value=${value}`];
    // the reader waits until the writer cannot write
    const { stdout } = await run(
      "sh",
      [
        "-c",
        '"$@" | { sleep 1; cat; }',
        "sh",
        process.execPath,
        ...cliArguments(words),
      ],
      { cwd: repositoryRoot },
    );
    expect(JSON.parse(stdout).cacheTestResults.loadResp.value).toHaveLength(
      value.length,
    );
  });

  test("action-run without a name asks for it", async () => {
    const { stderr, exitCode } = await here("action-run");
    expect(stderr).toBe("error: missing required argument 'name'\n");
    expect(exitCode).toBe(1);
  });
});

test("task-run names the task that was probably meant, and starts nothing", async () => {
  for (const words of [["runActoin"], ["runActoin", "--help"]]) {
    const { stderr, exitCode } = await here("task-run", ...words);
    expect(stderr).toContain(
      'Error: there is no task `runActoin` (did you mean "runAction"?)\n',
    );
    expect(stderr).not.toContain("Started ***");
    expect(exitCode).toBe(1);
  }
});

describe("task-enqueue", () => {
  test("task-enqueue enqueues a task", async () => {
    const { stdout, exitCode } = await here(
      "task-enqueue",
      "--name=runAction",
      "--args",
      '{"params": {}}',
      "--action=status",
    );
    expect(stdout).toContain("enqueued: true");
    expect(exitCode).toBe(0);
  });

  test("the name of the task may be the first word, as for task-run", async () => {
    const { stdout, exitCode } = await here(
      "task-enqueue",
      "runAction",
      "--action=status",
    );
    expect(stdout).toContain("enqueued: true");
    expect(exitCode).toBe(0);
  });

  test.each([
    [["-n", "nothing"], 'Error: Task "nothing" not found'],
    [["-n", "constructor"], 'Error: Task "constructor" not found'],
    [["-n", "runAction", "--action"], "Error: --action needs a value"],
    [["-n", "runAction", "-a", "{"], "error: option '-a, --args <args>'"],
    [["nothing"], 'Error: Task "nothing" not found'],
    [["runActoin"], 'Task "runActoin" not found (did you mean "runAction"?)'],
    [["runAction", "--action"], "Error: --action needs a value"],
    [["-n", "runAction", "extra"], "extra"],
    [[], "Error: which task? Name it"],
    [["--action=status"], "Error: which task? Name it"],
  ])("%j is refused", async (words, expected) => {
    const { stderr, exitCode } = await here("task-enqueue", ...words);
    expect(stderr).toContain(expected);
    expect(exitCode).toBe(1);
  });
});

describe("generators", () => {
  let project: TemporaryProject;
  beforeAll(() => {
    project = new TemporaryProject({
      "package.json": JSON.stringify({ name: "made", version: "1.0.0" }),
      "src/config/paths.js": `const path = require("path");
        const below = (name) => [path.join(__dirname, "..", name)];
        exports.DEFAULT = { general: () => ({ paths: {
          action: below("actions"), task: below("tasks"), server: below("servers"),
          cli: below("bin"), initializer: below("initializers") } }) };`,
    });
  });
  afterAll(() => project.remove());

  afterEach(() =>
    fs.rmSync(project.path("src/bin"), { recursive: true, force: true }),
  );

  // nothing listens there: a generator that asked for redis would fail
  const env = { REDIS_URL: "redis://127.0.0.1:1" };
  const generate = (...words: string[]) =>
    runCli(words, { cwd: project.root, env });
  const read = (file: string) => fs.readFileSync(project.path(file), "utf8");

  test.each([
    [
      ["generate-action", "--name", "deep", "-d", "it's deep"],
      ["src/actions/deep.ts", "__tests__/actions/deep.ts"],
    ],
    [
      ["generate", "task", "-n", "work", "-q", "low", "-f", "60000"],
      ["src/tasks/work.ts", "__tests__/tasks/work.ts"],
    ],
    [
      ["generate-initializer", "-n", "setup", "--loadPriority=7"],
      ["src/initializers/setup.ts", "__tests__/initializers/setup.ts"],
    ],
    [
      ["generate", "server", "--name=pigeon"],
      ["src/servers/pigeon.ts", "__tests__/servers/pigeon.ts"],
    ],
    [
      ["generate-cli", "--name=say-hi"],
      ["src/bin/say-hi.ts", "__tests__/bin/say-hi.ts"],
    ],
    [
      ["generate-action", "-n", "sub/folder"],
      ["src/actions/sub/folder.ts", "__tests__/actions/sub/folder.ts"],
    ],
  ])("%j", async (words, files) => {
    const { stdout, stderr, exitCode } = await generate(...words);
    expect(stderr).toBe("");
    expect(stdout).toBe(
      files.map((file) => `wrote file '${project.path(file)}'\n`).join(""),
    );
    expect(exitCode).toBe(0);
    for (const file of files)
      expect(fs.readFileSync(project.path(file), "utf8")).not.toContain("%%");
  });

  test("a command says that it needs a build, if the project is compiled", async () => {
    const compiled = new TemporaryProject({
      "package.json": "{}",
      "dist/config/paths.js": `exports.DEFAULT = { general: () => ({ paths: { cli: [__dirname + "/../bin"] } }) };`,
    });
    const { stdout } = await runCli(["generate-cli", "--name=greet"], {
      cwd: compiled.root,
      env: { ...env, ACTIONHERO_TYPESCRIPT_MODE: "false" },
    });
    compiled.remove();
    expect(stdout).toMatch(
      /\nthe command is `npx actionhero greet`, after `npm run build`\n$/,
    );
  });

  test("the written files contain the requested options", () => {
    expect(read("src/actions/deep.ts")).toContain('name: "deep"');
    expect(read("src/actions/deep.ts")).toContain("const deep = defineAction(");
    expect(read("src/actions/deep.ts")).toContain('"it\'s deep"');
    expect(read("src/tasks/work.ts")).toContain("frequency: 60000,");
    expect(read("src/tasks/work.ts")).toContain('queue: "low"');
    const initializer = read("src/initializers/setup.ts");
    expect(initializer).toContain("this.loadPriority = 7;");
    expect(initializer).toContain("this.stopPriority = 1000;");
    expect(read("src/servers/pigeon.ts")).toContain('this.type = "pigeon"');
    expect(read("__tests__/bin/say-hi.ts")).toContain(
      'from "../../src/bin/say-hi"',
    );
  });

  test("generators with --class write the form of version 29", async () => {
    await generate("generate-action", "--name=old-form", "--class");
    const action = read("src/actions/old-form.ts");
    expect(action).toContain("export class OldForm extends Action {");
    expect(action).toContain('this.name = "old-form";');
    await generate("generate-task", "--name=oldTask", "-f", "60000", "-c");
    const task = read("src/tasks/oldTask.ts");
    expect(task).toContain("export class OldTask extends Task {");
    expect(task).toContain("this.frequency = 60000;");
  });

  test.each([
    ["^4.1.0", true],
    ["latest", true],
    ["^3.25.0", false],
  ])("with zod %s in the project, schemas: %s", async (range, isUsed) => {
    const packageJson = { name: "made", dependencies: { zod: range } };
    project.write("package.json", JSON.stringify(packageJson));
    const name = `zod${range.replace(/\W/g, "")}`;
    await generate("generate-action", `--name=${name}`);
    const action = read(`src/actions/${name}.ts`);
    expect(action).toContain("defineAction");
    expect(action.includes("inputs: z.object(")).toBe(isUsed);
    if (!isUsed) return;
    await generate("generate-task", `--name=${name}`);
    expect(read(`src/tasks/${name}.ts`)).toContain("inputs: z.object(");
  });

  test("generators never overwrite, and write either all files or none", async () => {
    const file = project.path("__tests__/actions/taken.ts");
    fs.writeFileSync(file, "mine");
    const result = await generate("generate-action", "--name=taken");
    expect(result.stderr).toBe(`Error: file '${file}' already exists\n`);
    expect(result.exitCode).toBe(1);
    expect(fs.readFileSync(file, "utf8")).toBe("mine");
    expect(fs.existsSync(project.path("src/actions/taken.ts"))).toBe(false);
  });

  test.each([
    [["generate-task", "-n", "x", "-q", "y", "-f", "often"], "`often` is not"],
    [["generate-action"], "required option '-n, --name <name>' not specified"],
    [
      ["generate-action", "--name"],
      "option '-n, --name <name>' argument missing",
    ],
    [["generate-action", "--name=../../up"], "is not a name"],
    [["generate-action", "--name="], "is not a name"],
    [["generate-action", "--name=a", "--description="], "--description needs"],
    [["generate-task", "--name=a", "--queue", ""], "--queue needs a value"],
    [["generate-task", "--name=a", "--queue", " "], "--queue needs a value"],
    [["generate-action", "--name=say"], "is a verb of connections"],
    [["generate-cli", "--name=help"], "is a command of actionhero"],
    [["generate-cli", "--name=console"], "is a command of actionhero"],
    [["generate-cli", "--name=doctor <part>"], "is a command of actionhero"],
    [["generate-action", "--name=user:show"], "on every system"],
    [["generate-task", "--name=sub/con"], "on every system"],
    [["generate-initializer", "--name=redis"], "own for initializers"],
    [["generate-server", "--name=web"], "own for servers"],
    [["generate-server", "--name=tasks"], "own for servers"],
    [["generate-task", "--name=cleanLogFiles"], "own for tasks"],
    [["generate-action", "--name=__proto__"], "is not a name"],
  ])("%j is refused", async (words, expected) => {
    const { stderr, exitCode } = await generate(...words);
    expect(stderr).toContain(expected);
    expect(exitCode).toBe(1);
  });
});

test("the last line of generate is the one on which tests of projects rely", async () => {
  const empty = new TemporaryProject();
  try {
    const { stdout } = await runCli(["generate"], { cwd: empty.root });
    expect(stdout.trimEnd().split("\n").at(-1)).toBe("❤️  the Actionhero Team");
  } finally {
    empty.remove();
  }
});

describe("start", () => {
  test("start shows why a server cannot start, and ends with 1", async () => {
    const { exitCode, stdout } = await runCli(["start"], {
      cwd: repositoryRoot,
      env: { PORT: path.join(repositoryRoot, "no-such-folder", "socket") },
    });
    expect(exitCode).toBe(1);
    expect(stdout).toContain("no-such-folder");
  });
});
