import { CLI } from "../../src/cli/cli";
import { checks, folderChecks } from "../../src/cli/doctor/checks";
import { fail, type Finding, runChecks } from "../../src/cli/doctor/check";
import { withProgress } from "../../src/cli/execute";
import { inspectProject } from "../../src/cli/project";
import { findProjectRoot } from "../../src/environment/runtime";

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
      running: {
        flag: true,
        letter: "r",
        description: "the project runs here already: its ports may be in use",
      },
    };
  }

  async run({ params }: { params: { json?: boolean; running?: boolean } }) {
    const findings = await withProgress(
      (progress) =>
        examine(params.running === true, (what) =>
          progress.show(`checking ${what}`),
        ),
      params.json,
    );
    if (params.json) console.log(JSON.stringify(findings, null, 2));
    else for (const finding of findings) console.log(line(finding));

    if (findings.some(({ verdict }) => verdict === "fail"))
      process.exitCode = 1;
    return true;
  }
}

/**
 * @param isRunning the ports of the project may be in use
 * @param tell called with what is looked at next
 */
async function examine(
  isRunning: boolean,
  tell: (what: string) => void,
): Promise<Finding[]> {
  const root = findProjectRoot();
  const { problem } = inspectProject();
  const findings = await runChecks(folderChecks, root, tell);
  if (problem) return [...findings, fail("config", problem.message)];

  // loaded here, because loading it is what builds the configuration
  const { config, env } =
    require("../../src/config/config") as typeof import("../../src/config/config");
  const { discover } =
    require("../../src/config/discover") as typeof import("../../src/config/discover");
  const project = { root, config, env, filesOf: discover, isRunning };
  return [...findings, ...(await runChecks(checks, project, tell))];
}

function line({ verdict, check, message }: Finding): string {
  return `${verdict.padEnd(4)}  ${check}: ${message}`;
}
