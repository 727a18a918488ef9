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

const UNSET = "general.serverToken is not set";
const PUBLIC = "general.serverToken is change-me, which everyone knows";
const WARNING = `${PUBLIC}: set it to a secret that all nodes share`;
const SET = "set ACTIONHERO_SERVER_TOKEN to a secret that all nodes share";

test.each([
  ["", UNSET],
  ["change-me", PUBLIC],
])(
  "with general.requireServerToken production refuses the token %j",
  async (serverToken, fault) => {
    const started = start("production", {
      serverToken,
      requireServerToken: true,
    });
    await expect(started).rejects.toMatchObject({
      code: "AH_CONFIG",
      message: `${fault}: ${SET}`,
    });
    expect(app!.state).toBe("stopped");
    expect(api.servers.servers.web?.server?.listening).not.toBe(true);
  },
);

test("with general.requireServerToken every environment but development and test refuses it", async () => {
  const general = { serverToken: "", requireServerToken: true };
  await expect(start("staging", general)).rejects.toThrow(`${UNSET}: ${SET}`);
  for (const environment of ["development", "test"]) {
    const warnings = await start(environment, general);
    expect(warnings.join()).not.toContain("general.serverToken");
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
