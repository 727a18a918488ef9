/** What leaves a server in production open: the defaults of version 29 do, and a new project does not. */
import {
  checkHazards,
  checkSettings,
  hazards,
  type Settings,
} from "../../../src/cli/doctor/settings";
import {
  generatedProject,
  linkedProject,
} from "../../support/generatedProject";
import { loadConfig } from "../../support/profiles";

const v29 = linkedProject({ "src/config/.keep": "" });
const generated = generatedProject();
afterAll(() => {
  for (const project of [v29, generated]) project.remove();
});

const variables = {
  REDIS_URL: "rediss://localhost:6390/0",
  ACTIONHERO_SERVER_TOKEN: "of my own",
};
/** The TCP server is off by default: its settings count when a project turns it on. */
function configOf(root: string) {
  const config = loadConfig(root, "production", variables);
  config.socket.enabled = true;
  return config;
}

/** The settings that the warnings begin with. */
function warned(config: Settings): string[] {
  return checkHazards(config)
    .filter(({ verdict }) => verdict === "warn")
    .map(({ message }) => message.split(" ")[0]);
}

test("the defaults of version 29 have every hazard", () => {
  const settings = hazards.map(({ setting }) => setting);
  expect(warned(configOf(v29.root))).toEqual(settings);
  expect(settings).toEqual([...settings].sort());
});

test("a new project has no hazards except those that its owner decides", () => {
  const decided = hazards.filter(({ decidedByOwner }) => decidedByOwner);
  const config = configOf(generated.root);
  expect(warned(config)).toEqual(decided.map(({ setting }) => setting));
  config.web.allowedRequestHosts = ["https://www.example.com"];
  expect(checkHazards(config)).toEqual([
    {
      verdict: "ok",
      check: "security",
      message: `${hazards.length} settings are safe`,
    },
  ]);
  expect(
    checkSettings(config, "production").map(({ verdict }) => verdict),
  ).not.toContain("fail");
});

test("hazards count in production only", () => {
  const config = configOf(v29.root);
  const checks = (env: string) =>
    checkSettings(config, env).map(({ check }) => check);
  expect(checks("production")).toContain("security");
  for (const env of ["development", "test"])
    expect(checks(env)).not.toContain("security");
});

test("disabled servers have no hazards", () => {
  const config = configOf(v29.root);
  config.web.enabled = false;
  config.websocket.enabled = false;
  expect(warned(config).filter((name) => /^web/.test(name))).toEqual([]);
});
