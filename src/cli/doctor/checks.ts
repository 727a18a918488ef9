/**
 * The checks of `doctor`: one row each.
 *
 * To add one, add a row, and a fault to `test/cli/doctor/doctor.test.ts`. Rows of `checks` inspect
 * the project from outside; rows of `bootedChecks` run in a child process that has initialized it,
 * and can use `api`.
 */
import { api } from "../../api";
import type { ActionheroConfigInterface } from "../../config/types";
import { checkBoot } from "./boot";
import { checkBuild } from "./build";
import { checkCode } from "./code";
import { checkFolders, checkNode } from "./environment";
import { ok, type Finding } from "./finding";
import { checkPort } from "./ports";
import { checkRedis } from "./redis";
import { checkRoutes } from "./routes";
import { checkNames, checkSettings } from "./settings";

/** The subject of the checks. */
export interface Project {
  root: string;
  config: ActionheroConfigInterface;
  env: string;
  /** The files of actions and tasks, of the project and its plugins. */
  filesOf: (kind: "actions" | "tasks") => string[];
}

type Found = Finding | Finding[] | undefined;

export interface Check<Subject> {
  /** The label of the check on the progress line. */
  name: string;
  /** Skipped if one of these checks failed, because it would fail for the same reason. */
  unlessFailed?: readonly string[];
  run: (subject: Subject) => Found | Promise<Found>;
}

/** Checks that run before the configuration is loaded, in the folder of the project. */
export const folderChecks: readonly Check<string>[] = [
  { name: "node", run: (root) => checkNode(root) },
  { name: "build", run: checkBuild },
];

export const checks: readonly Check<Project>[] = [
  { name: "config", run: ({ env }) => ok("config", `loads for ${env}`) },
  { name: "setting names", run: ({ config }) => checkNames(config) },
  { name: "settings", run: ({ config, env }) => checkSettings(config, env) },
  {
    name: "folders",
    run: ({ config }) => checkFolders(writtenFolders(config)),
  },
  ...(["actions", "tasks"] as const).map((name) => ({
    name,
    run: ({ root, filesOf }: Project) => checkCode(name, filesOf(name), root),
  })),
  { name: "redis", run: ({ config, env }) => checkRedis(config.redis, env) },
  ...["web", "socket"].map((server) => ({
    name: `${server} port`,
    run: ({ config, env }: Project) => checkPort(server, config[server], env),
  })),
  {
    name: "boot",
    unlessFailed: ["actions", "tasks", "redis"],
    run: () => checkBoot(),
  },
];

/** Run in the child process of the check `boot`. */
export const bootedChecks: readonly (() => Finding[])[] = [
  () => checkRoutes(api.routes.routes, Object.keys(api.actions.actions)),
];

function writtenFolders({ general }: ActionheroConfigInterface): string[] {
  const { log = [], pid = [] } = (general?.paths ?? {}) as {
    log?: string[];
    pid?: string[];
  };
  return [...log, ...pid];
}

/** Run checks one after the other. */
export async function runChecks<Subject>(
  list: readonly Check<Subject>[],
  subject: Subject,
  tell: (what: string) => void,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { name, unlessFailed, run } of list) {
    const isDoomed = findings.some(
      ({ check, verdict }) =>
        verdict === "fail" && unlessFailed?.includes(check) === true,
    );
    if (isDoomed) continue;
    tell(name);
    findings.push(...[(await run(subject)) ?? []].flat());
  }
  return findings;
}
