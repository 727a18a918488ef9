import { CLI } from "../../src/cli/cli";
import { checkCode } from "../../src/cli/doctor/code";
import {
  checkBuild,
  checkFolders,
  checkNode,
} from "../../src/cli/doctor/environment";
import { fail, ok, type Finding } from "../../src/cli/doctor/finding";
import { checkPort, type ListenSettings } from "../../src/cli/doctor/ports";
import { checkRedis } from "../../src/cli/doctor/redis";
import { checkSettings } from "../../src/cli/doctor/settings";
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
    const findings = await examine(findProjectRoot());
    if (params.json) console.log(JSON.stringify(findings, null, 2));
    else for (const finding of findings) console.log(line(finding));

    if (findings.some(({ verdict }) => verdict === "fail"))
      process.exitCode = 1;
    return true;
  }
}

async function examine(root: string): Promise<Finding[]> {
  const { problem } = inspectProject();
  const first = [checkNode(root), checkBuild(root)];
  if (problem) return [...first, fail("config", problem.message)];

  // loaded here, because loading it is what builds the configuration
  const { config, env } =
    require("../../src/config/config") as typeof import("../../src/config/config");
  const { discover } =
    require("../../src/config/discover") as typeof import("../../src/config/discover");
  const { log = [], pid = [] } = (config.general?.paths ?? {}) as {
    log?: string[];
    pid?: string[];
  };
  const ports = await Promise.all(
    LISTENING.map((server) =>
      checkPort(server, config[server] as ListenSettings | undefined, env),
    ),
  );
  return [
    ...first,
    ok("config", `loads for ${env}`),
    ...checkSettings(config, env),
    checkFolders([...log, ...pid]),
    ...checkCode("actions", discover("actions"), root),
    ...checkCode("tasks", discover("tasks"), root),
    ...(await checkRedis(config.redis, env)),
    ...ports.filter((finding) => finding !== undefined),
  ];
}

function line({ verdict, check, message }: Finding): string {
  return `${verdict.padEnd(4)}  ${check}: ${message}`;
}
