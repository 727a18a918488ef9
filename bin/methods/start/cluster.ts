import cluster from "node:cluster";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { CLI } from "../../../src/cli/cli";
import {
  ClusterPrimary,
  clusterLine,
} from "../../../src/cli/cluster/clusterPrimary";
import { Progress } from "../../../src/cli/execute";
import { usesEmbeddedRedis } from "../../../src/cli/doctor/redis";
import { wholeNumber } from "../../../src/cli/runner";
import { stopTimeout } from "../../../src/environment/env";
import { framework } from "../../framework";

interface Params {
  workers: number;
  workerTitlePrefix?: string;
  script?: string;
}

export class StartCluster extends CLI {
  static readonly isServer = true;

  constructor() {
    super();
    this.name = "start-cluster";
    this.description =
      "start the server in several processes that share its ports";
    this.example = "actionhero start-cluster --workers=4";
    this.initialize = false;
    this.inputs = {
      workers: {
        letter: "w",
        requiredValue: true,
        default: String(os.availableParallelism()),
        description: "how many processes (default: one per CPU)",
        formatter: wholeNumber,
        validator: atLeastOne,
      },
      workerTitlePrefix: {
        letter: "t",
        requiredValue: true,
        description: "worker N is named by this and N",
      },
      script: {
        letter: "s",
        requiredValue: true,
        description: "what each worker runs (default: the project's server)",
      },
    };
  }

  async run({ params }: { params: Params }) {
    const { config } = framework();
    refuseEmbeddedRedis(config.redis);
    const { exec, args } = workerProgram(params.script);
    cluster.setupPrimary({ exec, args });
    process.title = `actionhero cluster ${String(config.general?.serverName)}`;

    const progress = new Progress();
    const primary = new ClusterPrimary({
      workers: Number(params.workers),
      titlePrefix: params.workerTitlePrefix,
      shutdownTimeoutMs: stopTimeout(), // as for a single process
      report: (message, level) =>
        console.log(clusterLine(message, config.logger?.format, level)),
      status: (text) => (text ? progress.show(text) : progress.done()),
    });
    followSignals(primary);
    process.exitCode = await primary.run();
    return true;
  }

  override help() {
    console.log(
      [
        "",
        "Signals to the first process:",
        "  SIGUSR2, SIGHUP   replace every worker, one after the other, without refusing a connection",
        "  SIGTTIN, SIGTTOU  add or remove a worker",
        "  SIGTERM, SIGINT   stop all workers, then end",
      ].join("\n"),
    );
  }
}

function atLeastOne(count: number): void {
  if (count < 1) throw new Error("a cluster has at least one worker");
}

/** Processes with a redis of their own each would not see one another's cache, chat and tasks. */
function refuseEmbeddedRedis(redis: Record<string, unknown>): void {
  if (!usesEmbeddedRedis(redis)) return;
  throw new Error(
    "a cluster needs a redis server that all its workers share: set REDIS_URL or REDIS_HOST",
  );
}

/** The project's own server file, so that workers are what `npm start` is; else the `start` command. */
function workerProgram(script?: string): { exec: string; args: string[] } {
  const { projectRoot, typescript } = framework();
  if (script) return { exec: path.resolve(projectRoot, script), args: [] };
  const own = path.join(
    projectRoot,
    typescript ? path.join("src", "server.ts") : path.join("dist", "server.js"),
  );
  if (fs.existsSync(own)) return { exec: own, args: [] };
  return { exec: process.argv[1]!, args: ["start"] };
}

function followSignals(primary: ClusterPrimary): void {
  process.on("SIGUSR2", () => void primary.restart());
  process.on("SIGHUP", () => void primary.restart());
  process.on("SIGTTIN", () => void primary.add());
  process.on("SIGTTOU", () => void primary.remove());
  process.on("SIGTERM", () => void primary.stop());
  process.on("SIGINT", () => void primary.stop({ drains: false }));
}
