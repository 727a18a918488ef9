/** `actionhero types` in a generated project: what it writes, and what the compiler then says of callers. */
import * as fs from "node:fs";
import * as path from "node:path";
import * as ts from "typescript";
import { generatedProject, linkedProject } from "../support/generatedProject";
import { runCli } from "../support/runCli";
import {
  repositoryRoot,
  type TemporaryProject,
} from "../support/temporaryProject";

const USERS = `
import { action, Action, defineAction, file } from "actionhero";
import { z } from "zod";

export const show = defineAction({
  name: "user:show",
  inputs: z.object({ id: z.int(), full: z.boolean().default(false) }),
  output: z.object({ id: z.number(), at: z.date() }),
  run: ({ params }) => ({ id: params.id, at: new Date() }),
});

export class ShowUser extends Action {
  name = "user:show";
  description = "the second version";
  version = 2;
  inputs = { id: { required: true as const }, picture: file(), count: { formatter: (n: number) => n } };
  async run() { return { names: ["Ada"] }; }
}

export const list = defineAction({
  name: "user:list",
  route: ["get /users", "post /users/search"],
  run: async () => ({ first: await action.run("user:show", 1, { id: 1 }) }),
});

export const oldTags = defineAction({
  name: "tag:list", version: 1, httpMethods: ["get"], run: () => ({ all: true }),
});
export const tags = defineAction({
  name: "tag:list", version: 2, route: "put /tags/:tag", run: () => ({ all: false }),
});

export default class DeleteUser extends Action {
  name = "deleteUser";
  description = "has no route of its own, and refuses POST";
  httpMethods = ["delete"];
  constructor() { super(); this.inputs = { id: { required: true } }; }
  async run() { return { deleted: true }; }
}
`;

const MAIL = `
import { defineTask, task } from "actionhero";
import { z } from "zod";

export const mail = defineTask({
  name: "mail",
  inputs: z.object({ to: z.string(), at: z.coerce.date().optional() }),
  run: async ({ to }) => { await task.enqueue("runAction"); return to; },
});
`;

const CALLERS = `
import { action, specHelper, task } from "actionhero";
import { createClient } from "actionhero/client";
import { ShowUser } from "./actions/users";
import { routes, type Actions } from "./actions.gen";

export async function inTheServer(anything: any) {
  const at: Date = (await action.run("user:show", 1, { id: 1 })).at; // breaks
  const names: string[] = (await action.run("user:show", undefined, { id: "a", count: 1 })).names; // breaks
  const first: number = (await action.run("user:list")).first.id; // breaks
  const deleted: boolean = (await action.run("deleteUser", 1, { id: 1, any: 1 })).deleted;
  const named = await action.run<ShowUser>("user:show", 2, { wrong: true });
  await action.run(anything, anything, anything, { session: {} });
  // @ts-expect-error there is no such action
  await action.run("user:shown");
  // @ts-expect-error nor such a version
  await action.run("user:show", 3, { id: 1 });
  // @ts-expect-error the id is missing
  await action.run("user:show", 1);
  // @ts-expect-error the id of the first version is a number
  await action.run("user:show", 1, { id: "1" });
  // @ts-expect-error that of the last is a text
  await action.run("user:show", undefined, { id: 1 });
  // @ts-expect-error the response has no such property
  void (await action.run("user:list")).last;
  return [at, names, first, deleted, named.names[0].length]; // breaks
}

export async function inTests() {
  const connection = await specHelper.buildConnection();
  const { names, error } = await specHelper.runAction("user:show", { id: "a" }); // breaks
  await specHelper.runAction("user:show", connection);
  await specHelper.runAction("deleteUser");
  await specHelper.runAction<ShowUser>("user:show", {});
  // @ts-expect-error the id is a text
  await specHelper.runAction("user:show", { id: 1 });
  // @ts-expect-error the id is missing
  await specHelper.runAction("user:show");
  // @ts-expect-error there is no such action
  await specHelper.runAction("user:shown");
  return [names.length, error];
}

export async function ofTasks() {
  await task.enqueue("mail", { to: "a" }, "default");
  await task.enqueueIn(1, "mail", { to: "a", at: new Date() }, "default", true);
  await task.enqueueAt(1, "runAction", { action: "status" });
  await task.enqueueJob("mail", { to: "a" }, { in: 5 });
  await task.enqueueMany("mail", [{ to: "a" }, { to: "b" }]);
  const sent: string = await task.run("mail", { to: "a" });
  const tested: string = await specHelper.runTask("mail", { to: "a" });
  const named = await task.run<number>("mail", {});
  // @ts-expect-error there is no such task
  await task.enqueue("male", { to: "a" });
  // @ts-expect-error there is no such task
  await task.run("male");
  // @ts-expect-error somebody gets the mail
  await task.run("mail", {});
  // @ts-expect-error there is no such task
  await specHelper.runFullTask("male");
  // @ts-expect-error somebody gets the mail
  await task.enqueue("mail");
  // @ts-expect-error by a name
  await task.enqueueIn(1, "mail", { to: 1 });
  // @ts-expect-error each of them
  await task.enqueueMany("mail", [{ to: "a" }, {}]);
  return [sent.length, tested.length, named.toFixed()];
}

export async function inClients(picture: File) {
  const api = createClient<Actions>({ url: "", routes });
  const at: string = (await api.call("user:show@1", { id: 1 })).at; // breaks
  const names: string[] = (await api.user.show({ id: "a", picture })).names; // breaks
  const inJson: string = (await api.user.list()).first.at; // breaks
  await api.deleteUser({ id: 1 });
  // @ts-expect-error there is no such action
  await api.call("user:shown", { id: 1 });
  // @ts-expect-error the id is missing
  await api.user.show();
  return [at, names, inJson];
}
`;

let project: TemporaryProject;
let program: ts.Program | undefined;

const types = (...words: string[]) =>
  runCli(["types", ...words], { cwd: project.root });
/** The same in a process that does not run TypeScript yet, as in a build: there is no compiled code, and no redis. */
const build = (...words: string[]) =>
  runCli(["types", ...words], {
    cwd: project.root,
    env: {
      ACTIONHERO_TYPESCRIPT_MODE: "false",
      NODE_ENV: "production",
      REDIS_URL: "redis://127.0.0.1:1",
    },
  });
const written = () =>
  fs.readFileSync(project.path("src/actions.gen.ts"), "utf8");

beforeAll(async () => {
  project = generatedProject();
  project.write("src/actions/users.ts", USERS);
  project.write("src/tasks/mail.ts", MAIL);
  const [first, check] = await Promise.all([
    types(),
    types("--check", "--out=missing.ts"),
  ]);
  expect(first.exitCode).toBe(0);
  expect(first.stdout).toContain(
    `written: ${project.path("src/actions.gen.ts")}`,
  );
  expect(check.exitCode).toBe(1);
  expect(check.stderr).toContain("is out of date: run `actionhero types`");
  expect(fs.existsSync(project.path("missing.ts"))).toBe(false);
}, 60_000);

afterAll(() => project.remove());

test("openapi describes the project without a redis server, too", async () => {
  const { stdout, exitCode } = await runCli(["openapi"], {
    cwd: project.root,
    env: { REDIS_URL: "redis://127.0.0.1:1" },
  });
  expect(exitCode).toBe(0);
  expect(Object.keys(JSON.parse(stdout).paths).join()).toContain("user");
});

test("openapi --check fails for compiled code that is older than the sources", async () => {
  const { stdout } = await runCli(["openapi"], { cwd: project.root });
  const old = linkedProject({
    "old.json": stdout,
    "src/actions/one.ts": "",
    "dist/config/none.js": "",
  });
  const check = () =>
    runCli(["openapi", "--check=old.json"], {
      cwd: old.root,
      env: { ACTIONHERO_TYPESCRIPT_MODE: "false" },
    });
  const { stderr, exitCode } = await check();
  expect(stderr).toContain("one.ts is newer than dist: run `npm run build`");
  expect(stderr).toContain("--check describes the compiled code, which is old");
  expect(exitCode).toBe(1);
  old.write("dist/actions/one.js", "");
  expect((await check()).stderr).not.toContain("--check describes");
  old.remove();
});

test("the AsyncAPI document has TCP where the environment starts it", async () => {
  const transports = async (NODE_ENV: string) => {
    const { stdout } = await runCli(["openapi", "--asyncapi"], {
      cwd: project.root,
      env: { NODE_ENV },
    });
    return Object.keys(JSON.parse(stdout).servers);
  };
  await expect(transports("development")).resolves.toContain("socket");
  await expect(transports("production")).resolves.not.toContain("socket");
});

test("every version of an action is named, and the name alone is the last of them", () => {
  const file = written();
  expect(file).toMatch(
    /^import type \* as (m\d+) from "\.\/actions\/users";$/m,
  );
  for (const line of [
    /^ {2}"user:show": Actions\["user:show@2"\];$/m,
    /^ {2}"user:show@1": ActionSignature<\(typeof m\d+\)\["show"\]>;$/m,
    /^ {2}"user:show@2": ActionSignature<\(typeof m\d+\)\["ShowUser"\]>;$/m,
    /^ {2}"deleteUser@1": ActionSignature<\(typeof m\d+\)\["default"\]>;$/m,
    /^ {2}"mail": TaskSignature<\(typeof m\d+\)\["mail"\]>;$/m,
  ])
    expect(file).toMatch(line);
  expect(file).not.toContain('"openapi"'); // the framework's, in development only
});

test("the routes are those that clients can use", () => {
  const file = written();
  expect(file).toContain('  "user:list": ["get", "/users"],\n');
  expect(file).toContain('  "deleteUser": ["delete", "/deleteUser"],\n');
  expect(file).not.toContain('  "user:show": [');
  expect(file).toContain('  "tag:list": ["put", "/tags/:tag"],\n');
  // its only methods are not those of the version 2; the colon is no variable
  expect(file).toContain('  "tag:list@1": ["get", "/tag%3Alist"],\n');
});

describe("in a build", () => {
  beforeAll(() => {
    const tsx = path.join(repositoryRoot, "node_modules", "tsx");
    fs.symlinkSync(tsx, project.path("node_modules/tsx"));
  });

  test("the sources are read, and redis is not needed", async () => {
    const before = written();
    const { stdout, stderr, exitCode } = await build("--out=built.ts");
    expect({ exitCode, stdout, stderr }).toEqual({
      exitCode: 0,
      stdout: `written: ${project.path("built.ts")}\n`,
      stderr: "",
    });
    const built = fs.readFileSync(project.path("built.ts"), "utf8");
    expect(built.replaceAll("./src/", "./")).toBe(before);
  }, 60_000);

  test("a project that cannot be loaded fails it, and three lines say why", async () => {
    project.write("src/actions/broken.ts", 'throw new Error("oops");\n');
    const { stdout, stderr, exitCode } = await build("--check");
    fs.rmSync(project.path("src/actions/broken.ts"));
    expect(exitCode).toBe(1);
    const lines = `${stdout}${stderr}`.trim().split("\n");
    expect(lines).toEqual([
      expect.stringMatching(/cannot start: oops/),
      expect.stringMatching(/ {2}in src\/actions\/broken\.ts/),
      expect.stringMatching(/ {2}correct this file/),
    ]);
  }, 60_000);
});

test("calls in the server, in tests and in clients are typed, and those of a generated project compile", async () => {
  project.write("src/callers.ts", CALLERS);
  const checked = types("--check"); // works while the compiler does
  expect(problems()).toEqual([]);
  expect((await checked).exitCode).toBe(0);
}, 60_000);

test("a renamed action, and a renamed property of a response or of an output schema, are errors in every caller", async () => {
  const renamed = USERS.replace('"user:list"', '"user:all"');
  project.write(
    "src/actions/users.ts",
    renamed
      .replace('names: ["Ada"]', 'titles: ["Ada"]')
      .replace("at: z.date()", "seenAt: z.date()")
      .replace("at: new Date()", "seenAt: new Date()"),
  );
  await types();
  const callers = CALLERS.split("\n").flatMap((line, index) =>
    line.endsWith("// breaks") ? [`callers.ts:${index + 1}`] : [],
  );
  expect(callers).toHaveLength(8);
  expect(problems()).toEqual(callers);
}, 90_000);

/** Where the compiler has something to say about the code of the project, with the settings that it was generated with. */
function problems(): string[] {
  const { config } = ts.readConfigFile(project.path("tsconfig.json"), (name) =>
    ts.sys.readFile(name),
  );
  const { options, fileNames } = ts.parseJsonConfigFileContent(
    config,
    ts.sys,
    project.root,
  );
  const source = (name: string) => [path.join(repositoryRoot, "src", name)];
  program = ts.createProgram(
    fileNames,
    {
      ...options,
      rootDir: undefined,
      noEmit: true,
      typeRoots: [path.join(repositoryRoot, "node_modules", "@types")],
      paths: {
        actionhero: source("index.ts"),
        "actionhero/client": source("client/node.ts"),
      },
    },
    undefined,
    program,
  );
  const own = program
    .getSourceFiles()
    .filter(({ fileName }) => fileName.startsWith(project.path("src")));
  expect(own.length).toBeGreaterThan(15);
  const found = own.flatMap((file) => [
    ...program!.getSyntacticDiagnostics(file),
    ...program!.getSemanticDiagnostics(file),
  ]);
  const places = found.map(({ file, start }) => {
    const { line } = file!.getLineAndCharacterOfPosition(start!);
    return `${path.basename(file!.fileName)}:${line + 1}`;
  });
  return [...new Set(places)];
}
