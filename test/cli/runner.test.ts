import * as path from "path";
import { runCli } from "../support/runCli";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

const cliModule = JSON.stringify(path.join(repositoryRoot, "src/cli/cli"));
const header = `const { CLI } = require(${cliModule});\n`;

/** A command that prints the params it gets. */
const greet = `${header}
exports.notACommand = "a constant";
exports.Greet = class Greet extends CLI {
  constructor() {
    super();
    this.name = "greet <first> [others...]";
    this.description = "say hello";
    this.example = "actionhero greet you";
    this.initialize = false;
    this.inputs = {
      title: { letter: "t" },
      "two-words": {},
      loud: { flag: true, letter: "l" },
    };
  }
  async run({ params }) {
    console.log(JSON.stringify(params));
    return true;
  }
  help() {
    console.log("more help");
  }
};
exports.Indirect = class Indirect extends exports.Greet {};
`;

const failing = `${header}
exports.Failing = class extends CLI {
  name = "failing-command";
  initialize = false;
  async run() {
    throw new Error("it went wrong");
  }
};
exports.Verdict = class extends CLI {
  name = "verdict";
  initialize = false;
  async run() {
    process.exitCode = 3;
  }
};
`;

let project: TemporaryProject;

beforeAll(() => {
  project = new TemporaryProject({
    "package.json": JSON.stringify({ name: "a-project", version: "1.2.3" }),
    "src/config/plugins.js": `exports.DEFAULT = { plugins: () => ({
      on: { path: __dirname + "/../../plugin" },
      off: { path: __dirname + "/../../off", cli: false },
    }) };`,
    "src/config/paths.js": `const path = require("path");
      exports.DEFAULT = { general: () => ({ paths: { cli: [path.join(__dirname, "../bin")] } }) };`,
    "src/bin/greet.js": greet,
    "src/bin/deep/failing.ts": failing.replace(
      /exports\.(\w+) =/g,
      "export const $1 =",
    ),
    "plugin/bin/a.js": failing
      .replaceAll("failing-command", "from-plugin")
      .replace('"verdict"', '"verdict-2"'),
    "plugin/dist/bin/b.js": failing
      .replaceAll("failing-command", "from-dist")
      .replace('"verdict"', '"verdict-3"'),
    "off/bin/a.js": failing.replaceAll("failing-command", "not-there"),
  });
});

afterAll(() => project.remove());

const inProject = (...words: string[]) => runCli(words, { cwd: project.root });

test("help lists the commands of the project, its plugins and the framework", async () => {
  const { stdout, exitCode } = await inProject("help");
  expect(exitCode).toBe(0);
  for (const name of [
    "greet",
    "failing-command",
    "from-plugin",
    "from-dist",
    "generate-action",
    "task-enqueue",
  ])
    expect(stdout).toContain(`  ${name} `);
  expect(stdout).not.toContain("not-there");
  expect(stdout).not.toContain("Indirect");
});

test("the version is the project's", async () => {
  expect((await inProject("--version")).stdout).toBe("1.2.3\n");
  expect((await inProject("-V")).stdout).toBe("1.2.3\n");
});

test("options and arguments reach the command by the names it gave them", async () => {
  const words = ["greet", "you", "him", "--two-words", "x", "-l", "-t", "Dr"];
  const { stdout, stderr, exitCode } = await inProject(...words);
  expect(stderr).toBe("");
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    _arguments: ["you", "him"],
    title: "Dr",
    "two-words": "x",
    twoWords: "x",
    loud: true,
  });
});

test("the framework's own flags pass through", async () => {
  const words = [
    "greet",
    "you",
    "--NODE_ENV",
    "staging",
    "--config=src/config",
  ];
  const { stdout, exitCode } = await inProject(...words);
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ _arguments: ["you"] });
});

test("the help of a command ends with its example and its own help", async () => {
  const { stdout } = await inProject("greet", "--help");
  expect(stdout).toContain("say hello");
  expect(stdout).toMatch(
    /\n\nExample: \r\n {2}actionhero greet you\nmore help\n$/,
  );
});

test("an error of a command is one line on stderr, and exit code 1", async () => {
  const { stdout, stderr, exitCode } = await inProject("failing-command");
  expect(stdout).toBe("");
  expect(stderr).toBe("Error: it went wrong\n");
  expect(exitCode).toBe(1);
});

test("a command may set the exit code", async () => {
  expect((await inProject("verdict")).exitCode).toBe(3);
});

test("a command file that does not load is shown, and the others work", async () => {
  const file = project.write("src/bin/broken.js", "throw new Error('oh no')");
  const { stdout, stderr, exitCode } = await inProject("greet", "you");
  project.write("src/bin/broken.js", "");
  expect(stderr).toBe(`${file} cannot be loaded: oh no\n`);
  expect(JSON.parse(stdout)).toEqual({ _arguments: ["you"] });
  expect(exitCode).toBe(0);
});

test("a required option that is misspelled is named, and what was meant", async () => {
  const { stderr, exitCode } = await inProject("generate-action", "--nmae=x");
  expect(stderr).toBe(
    "error: required option '-n, --name <name>' not specified\n" +
      `error: unknown option '--nmae' (did you mean "--name"?)\n`,
  );
  expect(exitCode).toBe(1);
});

test("an unknown command is refused", async () => {
  const { stderr, exitCode } = await inProject("not-a-thing");
  expect(stderr).toContain("error: unknown command 'not-a-thing'");
  expect(exitCode).toBe(1);
});

describe("an unknown command of a project that is not compiled", () => {
  const compiled = { ACTIONHERO_TYPESCRIPT_MODE: "false" };

  test.each([
    ["dist is missing: run `npm run build`", {}],
    [
      `${path.join("src", "bin", "hello.ts")} is newer than dist: run \`npm run build\``,
      { "dist/config/empty.js": "" },
    ],
  ])("%s", async (warning, files) => {
    const other = new TemporaryProject({
      "package.json": "{}",
      "src/bin/hello.ts": "export {}",
      ...files,
    });
    const result = await runCli(["hello"], { cwd: other.root, env: compiled });
    other.remove();
    expect(result.stderr).toContain("error: unknown command 'hello'");
    expect(result.stderr).toContain(`warning: ${warning}\n`);
    expect(result.exitCode).toBe(1);
  });
});

describe("a faulty command is reported with its file, and the others work", () => {
  const named = (name: string) =>
    `${header}exports.Named = class extends CLI { name = ${name}; initialize = false; async run() { console.log("it ran") } };`;
  let other: TemporaryProject;

  beforeEach(() => {
    other = new TemporaryProject({
      "package.json": "{}",
      "src/config/paths.js": `exports.DEFAULT = { general: () => ({ paths: { cli: [__dirname + "/../bin"] } }) };`,
      "src/bin/hello.js": named('"hello"'),
    });
  });
  afterEach(() => other.remove());

  test.each([
    [
      "two commands of one name",
      named('"hello <you>"'),
      "the command `hello` is already in ${root}/src/bin/hello.js",
    ],
    [
      "the name of a built-in command",
      named('"generate"'),
      "`generate` is a command of actionhero",
    ],
    ["no name", named("null"), "name is required for this cli command"],
    ["a name that is not a string", named("5"), "instance.name.trim is not a"],
    [
      "a constructor that throws",
      `${header}exports.A = class extends CLI { constructor() { super(); throw new Error("boom"); } async run() {} };`,
      "boom",
    ],
    [
      "a switch without a letter",
      `${header}exports.A = class extends CLI { name = "a"; inputs = { x: { flag: true } }; async run() {} };`,
      "flag inputs require a short letter",
    ],
    [
      "two inputs with one letter",
      `${header}exports.A = class extends CLI { name = "a"; inputs = { x: { letter: "x" }, y: { letter: "x" } }; async run() {} };`,
      "Cannot add option '-x, --y [y]' to command 'a' due to conflicting flag",
    ],
  ])("%s", async (_what, content, reason) => {
    const file = other.write("src/bin/other.js", content);
    const { stdout, stderr, exitCode } = await runCli(["hello"], {
      cwd: other.root,
    });
    const shown = reason.replace("${root}", other.root);
    expect(stderr).toContain(`${file} cannot be loaded: ${shown}`);
    expect(stdout).toBe("it ran\n");
    expect(exitCode).toBe(0);
  });

  test("a built-in command stays", async () => {
    other.write("src/bin/generate.js", named('"generate-action"'));
    const { stdout, exitCode } = await runCli(["help", "generate-action"], {
      cwd: other.root,
    });
    expect(stdout).toContain("write a new action and its test");
    expect(exitCode).toBe(0);
  });

  test("the project's command takes precedence over one that v29 did not have", async () => {
    const other = new TemporaryProject({
      "package.json": "{}",
      "src/config/paths.js": `exports.DEFAULT = { general: () => ({ paths: { cli: [__dirname + "/../bin"] } }) };`,
      "src/bin/doctor.js": failing.replaceAll("failing-command", "doctor"),
    });
    const result = await runCli(["doctor"], { cwd: other.root });
    other.remove();
    expect(result.stderr).toBe("Error: it went wrong\n");
  });
});

describe("outside of a project", () => {
  let empty: TemporaryProject;
  beforeAll(() => (empty = new TemporaryProject()));
  afterAll(() => empty.remove());

  test("only commands that need none are shown", async () => {
    const { stdout, stderr } = await runCli(["help"], { cwd: empty.root });
    expect(stdout).toContain("  generate [options] ");
    expect(stdout).not.toContain("generate-action");
    expect(stderr).toBe("");
  });

  test("outside of a project, other commands say what is missing", async () => {
    const result = await runCli(["actions-list"], { cwd: empty.root });
    expect(result.stderr).toBe(
      "Error: No config directory found in this project.  Did you compile your typescript project?\n",
    );
    expect(result.exitCode).toBe(1);
  });
});

test("a broken configuration is shown, and commands that need it end with 1", async () => {
  const broken = new TemporaryProject({
    "package.json": "{}",
    "src/config/bad.js": "throw new Error('this is broken')",
  });
  const [help, list] = await Promise.all([
    runCli(["help"], { cwd: broken.root }),
    runCli(["actions-list"], { cwd: broken.root }),
  ]);
  broken.remove();
  expect(help.stderr).toContain("this is broken");
  expect(help.stderr).toContain("bad.js");
  expect(help.stdout).toContain("  generate [options] ");
  expect(list.stderr).toContain("this is broken");
  expect(list.exitCode).toBe(1);
});
