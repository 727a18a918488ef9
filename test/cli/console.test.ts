import * as fs from "fs";
import * as path from "path";
import { runCli } from "../support/runCli";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";
import { RUN_TYPESCRIPT_TEXT } from "../support/sources";
import { hasTerminal, Terminal } from "../support/terminal";
import { leaveOut } from "../support/leftOut";

const project = new TemporaryProject();
let terminal: Terminal | undefined;
afterAll(async () => {
  await terminal?.close();
  project.remove();
});

const history = project.path("history");
const env = { NODE_REPL_HISTORY: history };
const prompt = /\[ AH::development \] >> /;

if (hasTerminal) {
  test("at a terminal, the console has top-level await, listings and history, and ends cleanly", async () => {
    const entry = path.join(repositoryRoot, "bin", "actionhero.ts");
    const command = `"${process.execPath}" ${RUN_TYPESCRIPT_TEXT} "${entry}" console`;
    terminal = new Terminal(command, { cwd: repositoryRoot, env });

    await terminal.shows(prompt);
    await terminal.type("await Promise.resolve(41) + 1", /^[^\n]*\n.*42/s);
    await terminal.type(
      "Object.keys(api.actions.actions).includes('status')",
      /true/,
    );
    await terminal.type("const kept = id", /undefined/);
    await terminal.type("kept === id", /true/);
    await terminal.type(".actions", /\nstatus\r?\nswagger/);
    await terminal.type(".tasks", /runAction/);
    await terminal.type(".routes", /GET +\/status -> status/);
    await terminal.type(
      "(await action.run('randomNumber')).randomNumber < 1",
      /true/,
    );
    await terminal.type("typeof api.id", /string/);
    await terminal.type("throw new Error('mine')", /Uncaught Error: mine/);
    await terminal.type(".help", /\.actions +List the actions/);
    await terminal.type(".exit", /./);
    expect(await terminal.exit).toEqual([0, null]);
    expect(fs.readFileSync(history, "utf8").split("\n")).toContain(
      "kept === id",
    );
  }, 60_000);
} else {
  leaveOut("the console at a terminal", "script");
}

test("from a pipe, the console runs what it reads, and ends", async () => {
  const { stdout, exitCode } = await runCli(["console"], {
    cwd: repositoryRoot,
    env,
    input: "1 + 1\n",
  });
  expect(stdout).toContain("2\n");
  expect(exitCode).toBe(0);
});

test("from a pipe, the console waits for pending promises", async () => {
  const { stdout, exitCode } = await runCli(["console"], {
    cwd: repositoryRoot,
    env,
    input: "(await action.run('randomNumber')).stringRandomNumber\n",
  });
  expect(stdout).toContain("Your random number is");
  expect(exitCode).toBe(0);
});
