/** A server does not start in production without a secret of its own, or says so. */
process.env.PORT = "0";

import { LogLines } from "../support/logLines";
import { api, config, Process, rebuildConfig } from "../../src";

const before = { ...process.env };
let app: Process | undefined;

afterEach(async () => {
  if (app?.running) await app.stop();
  process.env = { ...before };
  rebuildConfig();
});

/** Start in an environment, with these settings of `general`; resolves with the warnings. */
async function start(environment: string, general: object): Promise<string[]> {
  process.env.NODE_ENV = environment;
  process.env.ENABLE_TCP_SERVER = "false";
  process.env.ACTIONHERO_CONFIG_OVERRIDES = JSON.stringify({ general });
  rebuildConfig();
  app = new Process();
  await app.initialize();
  const log = new LogLines("warning");
  try {
    await app.start();
    return log.at("warning", /./);
  } finally {
    log.stop();
  }
}

const WARNING =
  "general.serverToken is not set: set it to a secret that all nodes share";
const REFUSAL =
  "general.serverToken is not set: set ACTIONHERO_SERVER_TOKEN to a secret that all nodes share";

test.each(["", "change-me"])(
  "with general.requireServerToken production refuses the token %j",
  async (serverToken) => {
    const started = start("production", {
      serverToken,
      requireServerToken: true,
    });
    await expect(started).rejects.toMatchObject({
      code: "AH_CONFIG",
      message: REFUSAL,
    });
    expect(app!.state).toBe("stopped");
    expect(api.servers.servers.web?.server?.listening).not.toBe(true);
  },
);

test("with general.requireServerToken every environment but development and test refuses it", async () => {
  const general = { serverToken: "", requireServerToken: true };
  await expect(start("staging", general)).rejects.toThrow(REFUSAL);
  for (const environment of ["development", "test"]) {
    expect(await start(environment, general)).not.toContain(WARNING);
    await app!.stop();
  }
});

test("a project with its own token starts in every environment", async () => {
  const general = { serverToken: "own", requireServerToken: true };
  expect(await start("production", general)).not.toContain(WARNING);
  expect(config.general.serverToken).toBe("own");
});

test("a v29 project starts in production with a warning, and only there", async () => {
  const general = { serverToken: "change-me" };
  expect(await start("production", general)).toContain(WARNING);
  await app!.stop();
  expect(await start("development", general)).not.toContain(WARNING);
});
