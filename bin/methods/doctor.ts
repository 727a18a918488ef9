import { CLI } from "../../src/cli/cli";
import { checkBuild } from "../../src/cli/doctor/build";
import { checkCode } from "../../src/cli/doctor/code";
import { checkFolders, checkNode } from "../../src/cli/doctor/environment";
import { fail, ok, type Finding } from "../../src/cli/doctor/finding";
import { checkPort, type ListenSettings } from "../../src/cli/doctor/ports";
import { checkRedis } from "../../src/cli/doctor/redis";
import { checkSettings } from "../../src/cli/doctor/settings";
import { withProgress } from "../../src/cli/progress";
import { inspectProject } from "../../src/cli/project";
import { findProjectRoot } from "../../src/environment/paths";

/** Servers that listen on a port of their own. */
const LISTENING = ["web", "socket"];

export class Doctor extends CLI {
  static readonly needsProject = false;

  constructor() {
    super();
    this.name = "doctor";
    this.description = "look for what keeps this project from running well";
    this.example = "NODE_ENV=production actionhero doctor";
    this.initialize = false;
    this.inputs = {
      json: { flag: true, letter: "j", description: "print JSON" },
    };
  }

  async run({ params }: { params: { json?: boolean } }) {
    const findings = await withProgress(
      (progress) =>
        examine(findProjectRoot(), (what) => progress.show(`checking ${what}`)),
      params.json,
    );
    if (params.json) console.log(JSON.stringify(findings, null, 2));
    else for (const finding of findings) console.log(line(finding));

    if (findings.some(({ verdict }) => verdict === "fail"))
      process.exitCode = 1;
    return true;
  }
}

/** @param tell called with what is looked at next */
async function examine(
  root: string,
  tell: (what: string) => void,
): Promise<Finding[]> {
  const { problem } = inspectProject();
  tell("node and the build");
  const first = [checkNode(root), checkBuild(root)];
  if (problem) return [...first, fail("config", problem.message)];

  tell("the configuration");
  // loaded here, because loading it is what builds the configuration
  const { config, env } =
    require("../../src/config/config") as typeof import("../../src/config/config");
  const { discover } =
    require("../../src/config/discover") as typeof import("../../src/config/discover");
  const { log = [], pid = [] } = (config.general?.paths ?? {}) as {
    log?: string[];
    pid?: string[];
  };
  const findings = [
    ...first,
    ok("config", `loads for ${env}`),
    ...checkSettings(config, env),
    checkFolders([...log, ...pid]),
  ];
  for (const kind of ["actions", "tasks"] as const) {
    tell(kind);
    findings.push(...checkCode(kind, discover(kind), root));
  }
  tell("redis");
  findings.push(...(await checkRedis(config.redis, env)));
  for (const server of LISTENING) {
    tell(`the ${server} port`);
    const settings = config[server] as ListenSettings | undefined;
    const finding = await checkPort(server, settings, env);
    if (finding) findings.push(finding);
  }
  return findings;
}

function line({ verdict, check, message }: Finding): string {
  return `${verdict.padEnd(4)}  ${check}: ${message}`;
}
