import * as path from "path";
import { runOk } from "../support/runCli";
import { RUN_TYPESCRIPT } from "../support/sources";
import { TemporaryProject } from "../support/temporaryProject";

/** Boots a project without redis, and prints what `expression` is. */
const SCRIPT = `
  const { Process, api, cache } = require(${JSON.stringify(path.join(__dirname, "../../src/index"))});
  const isLoaded = (name) =>
    Object.keys(require.cache).some((file) => file.includes("/node_modules/" + name + "/"));
  const hasLua = () => Object.keys(require.cache).some((file) => file.includes("/fengari/src/lapi"));
  async function main() {
    const app = new Process();
    await app.initialize();
    const found = await (async () => { EXPRESSION })();
    console.log("FOUND " + JSON.stringify(found));
    process.exit();
  }
  main();
`;

describe("what a start without redis does not load", () => {
  let project: TemporaryProject;

  beforeEach(() => {
    project = new TemporaryProject({
      "package.json": `{ "name": "lazy", "version": "1.0.0" }`,
      "src/config/logger.ts":
        "export const DEFAULT = { logger: () => ({ loggers: [] }) };",
    });
  });

  afterEach(() => project.remove());

  async function inProject(expression: string): Promise<unknown> {
    const script = project.write(
      "src/script.ts",
      SCRIPT.replace("EXPRESSION", expression),
    );
    const printed = await runOk(process.execPath, [...RUN_TYPESCRIPT, script], {
      cwd: project.path("."),
      env: { PROJECT_ROOT: project.path("."), JEST_WORKER_ID: "" },
    });
    return JSON.parse(/^FOUND (.*)$/m.exec(printed)![1]) as unknown;
  }

  test("is the Lua interpreter, while the cache works", async () => {
    expect(
      await inProject(`
        await cache.save("key", { a: 1 });
        const { value } = await cache.load("key");
        return [value, isLoaded("ioredis-mock"), hasLua()];`),
    ).toEqual([{ a: 1 }, true, false]);
  });

  test("is loaded by a project's first script, which works like any other", async () => {
    expect(
      await inProject(`
        const { client } = api.redis.clients;
        const run = () =>
          client.eval("redis.call('set', KEYS[1], ARGV[1]); return redis.call('get', KEYS[1])", 1, "one", "1");
        const before = hasLua();
        return [before, await run(), await run(), hasLua()];`),
    ).toEqual([false, "1", "1", true]);
  });

  test("is winston, for a project without loggers", async () => {
    expect(
      await inProject(`return ["winston", "winston-transport"].map(isLoaded)`),
    ).toEqual([false, false]);
  });
});
