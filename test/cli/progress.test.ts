/** Long commands tell a terminal what they are at, leave nothing behind there, and say nothing to a pipe. */
import * as path from "path";
import { showsProgress } from "../../src/cli/execute";
import { runCli } from "../support/runCli";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";
import { RUN_TYPESCRIPT_TEXT } from "../support/sources";
import { hasTerminal, Terminal } from "../support/terminal";
import { leaveOut } from "../support/leftOut";

const entry = path.join(repositoryRoot, "bin", "actionhero.ts");
const framework = JSON.stringify(path.join(repositoryRoot, "src", "index.ts"));

/** What moves the cursor and erases begins with it. */
const ESCAPE = "\x1b";

let project: TemporaryProject;
let terminal: Terminal | undefined;
beforeEach(() => {
  project = new TemporaryProject({
    "package.json": JSON.stringify({ name: "long", version: "1.0.0" }),
    "dist/actions/one.js": `
      const { Action } = require(${framework});
      exports.One = class One extends Action {
        name = "one";
        description = "counts";
        async run() { return { one: 1 }; }
      };`,
    "dist/tasks/work.js": `
      const { Task } = require(${framework});
      exports.Work = class Work extends Task {
        name = "work";
        description = "works";
        queue = "default";
        async run() { return { worked: true }; }
      };`,
    "dist/config/all.js": `
      const path = require("path");
      const below = (name) => [path.join(__dirname, "..", name)];
      exports.DEFAULT = {
        general: () => ({ paths: { action: below("actions"), task: below("tasks") } }),
        web: () => ({ enabled: false }),
        websocket: () => ({ enabled: false }),
        socket: () => ({ enabled: false }),
      };`,
  });
});
afterEach(async () => {
  await terminal?.close();
  terminal = undefined;
  project.remove();
});

const env = {
  ACTIONHERO_TYPESCRIPT_MODE: "false",
  NO_COLOR: undefined,
  REDIS_URL: undefined,
  REDIS_HOST: undefined,
};

/** Run a command at a terminal; its screen holds all that was written to it. */
function atTerminal(args: string, more: Record<string, string> = {}): Terminal {
  const command = `"${process.execPath}" ${RUN_TYPESCRIPT_TEXT} "${entry}" ${args}`;
  terminal = new Terminal(command, {
    cwd: project.root,
    env: { ...env, ...more },
  });
  return terminal;
}

/** The lines that are left for somebody who looks at the terminal. */
function visible(screen: string): string[] {
  return screen.split("\n").map((line) => {
    let shown = "";
    for (const part of line.split("\r")) {
      const [start, ...erased] = part.split("\x1b[K");
      shown = start + shown.slice(start.length);
      for (const text of erased) shown = text;
    }
    return shown.trimEnd();
  });
}

test("progress is shown only on terminals that can erase a line", () => {
  expect(showsProgress(true, { TERM: "xterm" })).toBe(true);
  expect(showsProgress(false, { TERM: "xterm" })).toBe(false);
  expect(showsProgress(true, { TERM: "dumb" })).toBe(false);
  expect(showsProgress(true, { TERM: "xterm", NO_COLOR: "1" })).toBe(false);
});

/** What each command is at, some of it. */
const commands: Record<string, RegExp[]> = {
  doctor: [/checking actions/, /checking redis/],
  generate: [/writing src\/config\/web\.ts/],
  upgrade: [/reading src\/actions\/old\.ts/],
  "action-run one": [/loading the project/, /starting/, /running one/],
  "task-enqueue --name=work": [/loading the project/, /enqueueing work/],
  "task-run work": [/loading the project/, /starting/, /running work/],
};

if (hasTerminal) {
  test.each(Object.entries(commands))(
    "%s shows progress on a terminal, and erases it",
    async (args, steps) => {
      project.write("src/actions/old.ts", "");
      const shown = atTerminal(args);
      await shown.exit;
      for (const step of steps) {
        expect(shown.screen).toMatch(step);
        expect(visible(shown.screen).join("\n")).not.toMatch(step);
      }
    },
    60_000,
  );

  test("a terminal shows what a pipe gets", async () => {
    const { stdout } = await runCli(["doctor"], { cwd: project.root, env });
    await atTerminal("doctor").exit;
    expect(visible(terminal!.screen)).toEqual(stdout.split("\n"));
  }, 60_000);

  test("output for programs stays plain, and so does what NO_COLOR asks for", async () => {
    await atTerminal("doctor --json").exit;
    expect(terminal!.screen).not.toContain(ESCAPE);
    expect(terminal!.screen).toMatch(/^\[/);
    await atTerminal("upgrade", { NO_COLOR: "1" }).exit;
    expect(terminal!.screen).not.toContain(ESCAPE);
  }, 60_000);

  test("start-cluster shows the progress of starting workers and of a rolling restart", async () => {
    const script = project.write(
      "worker.js",
      "process.on('SIGTERM', () => process.exit(0)); process.send('ready');",
    );
    const shown = atTerminal(`start-cluster --workers=2 --script="${script}"`, {
      REDIS_URL: "redis://127.0.0.1:1",
    });
    await shown.shows(/worker 2 \(pid/);
    expect(shown.screen).toMatch(/[01] of 2 workers serve/);
    const pid = Number(/\[cluster (\d+)\]/.exec(shown.screen)![1]);
    process.kill(pid, "SIGUSR2");
    await shown.shows(/rolling restart done/);
    expect(shown.screen).toMatch(/replacing worker 2 of 2/);
    process.kill(pid, "SIGTERM");
    expect(await shown.exit).toEqual([0, null]);
    expect(visible(shown.screen).join("\n")).not.toMatch(
      /workers serve|replacing|waiting/,
    );
  }, 60_000);
} else {
  leaveOut("progress at a terminal", "script");
}

test.each(["doctor", "generate", "action-run one", "task-run work"])(
  "%s shows no progress to a pipe",
  async (args) => {
    const result = await runCli(args.split(" "), { cwd: project.root, env });
    const printed = result.stdout + result.stderr;
    expect(result.stdout).not.toBe("");
    expect(printed).not.toContain(`${ESCAPE}[K`);
    for (const step of commands[args]) expect(printed).not.toMatch(step);
  },
  60_000,
);
