/** The table of docs/security.md has the values that the two profiles really have. */
import * as fs from "node:fs";
import * as path from "node:path";
import { newProjectSettings } from "../../src/cli/generate/newProjectSettings";
import { repositoryRoot } from "../support/temporaryProject";

const page = fs.readFileSync(
  path.join(repositoryRoot, "docs/security.md"),
  "utf8",
);
const section = page.slice(
  page.indexOf("## Settings"),
  page.indexOf("## What you decide"),
);
const rows = section
  .split("\n")
  .filter((line) => line.startsWith("| ") && line.includes("`"))
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .map(([, attack, setting, v29, newProject]) => ({
    attack,
    setting: setting.replaceAll("`", ""),
    v29,
    newProject,
  }));

/** Differences that protect from nobody, and why there is a difference at all. */
const NOT_ABOUT_SECURITY: Record<string, string> = {
  "errors.clientErrorLogLevel": "errors stand out",
  "errors.keepInline": "the status of an error is right",
  "errors.redisAway": "an outage is one answer",
  "general.checkSettings": "misspelled settings are named",
  "general.explainBootErrors": "a failed boot says why",
  "general.refuseUntilBooted": "clients wait for a complete boot",
  "general.sayObjects": "what is said in rooms keeps its type",
  "general.uniqueNames": "two actions or tasks of one name are a mistake",
  "redis.retryStrategy": "every line has the format of the log",
  "config/socket.ts":
    "the port comes from the environment, as that of HTTP does",
  "general.context": "log lines of one request have one id",
  "general.drainDelay": "load balancers notice a stop before it happens",
  "health.enabled": "load balancers and containers ask how the process is",
  "logger.format": "collectors of logs read JSON",
  "logger.loggers": "restarts leave one file",
  routes: "examples to start from",
  "tasks.carryContext": "log lines of a job lead to its request",
  "tasks.sortInputs": "jobs are found whatever the order of keys",
  "tasks.unknownJobs": "jobs wait for the processes of a new version",
  "web.healthPort": "one variable says where probes are",
  "web.openapi": "in production it is off as before",
  "web.listErrors": "it tells no more than one error at a time does",
  "web.errorPages": "people read a page where a file is missing",
  "web.errorStatus": "clients and proxies see whose fault an error is",
  "web.keepAliveTimeout": "load balancers are not surprised",
  "web.formBrackets": "forms mean the same as queries",
};

/** Values that are JSON are code; texts bring their own marks. */
function shown(value: string): string {
  try {
    JSON.parse(value);
    return `\`${value}\``;
  } catch {
    return value;
  }
}

test.each(rows)("$setting has the documented values", (row) => {
  const setting = newProjectSettings.find((one) => one.setting === row.setting);
  expect(setting).toBeDefined();
  const { v29, newProject, environments } = setting!;
  const where = environments ? ` in ${environments.join(" and ")}` : "";
  expect(row.attack).not.toBe("");
  expect(row.v29).toBe(shown(v29));
  expect(row.newProject).toBe(shown(newProject) + where);
});

test("every setting that differs has a row, or a reason not to have one", () => {
  const documented = [
    ...rows.map(({ setting }) => setting),
    ...Object.keys(NOT_ABOUT_SECURITY),
  ];
  expect(documented.sort()).toEqual(
    newProjectSettings.map(({ setting }) => setting).sort(),
  );
});
