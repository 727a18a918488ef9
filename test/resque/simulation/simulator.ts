/**
 * Runs seeds of the simulation in a process of its own: modules of jest find their globals slowly, so that a seed takes
 * three times as long there.
 */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as path from "node:path";
import { RUN_TYPESCRIPT } from "../../support/sources";
import { repositoryRoot } from "../../support/temporaryProject";
import type { Result } from "./simulation";

const {
  SIMULATION_SEEDS,
  SIMULATION_SECONDS,
  SIMULATION_REDIS_SEEDS,
  SIMULATION_FIRST,
} = process.env;

/**
 * How many seeds are run: `SIMULATION_SEEDS=1000000 npx jest test/resque/simulation` is the long form.
 * `SIMULATION_FIRST=123 SIMULATION_SEEDS=1` repeats one.
 */
export const SEEDS = Number(SIMULATION_SEEDS ?? 10_000);
/** How many of them run on redis, too. */
export const REDIS_SEEDS = Number(SIMULATION_REDIS_SEEDS ?? 200);
export const FIRST = Number(SIMULATION_FIRST ?? 1);

/** A slow machine runs fewer, unless it was said how many: no further seed begins after so long, in ms. */
export const LIMIT_MS =
  SIMULATION_SEEDS === undefined
    ? Number(SIMULATION_SECONDS ?? 15) * 1000
    : undefined;
export const REDIS_LIMIT_MS =
  SIMULATION_REDIS_SEEDS === undefined ? 15_000 : undefined;

export interface Request {
  first: number;
  count: number;
  /** Begin no further seed after so long (default: never too long). */
  limitMs?: number;
  /** Run on this redis, whose data is deleted. */
  redisPort?: number;
  /** Name of a fault of the engine. */
  planted?: string;
  /** Name of a fault of a script. */
  plantedScript?: string;
}

/** How many seeds were run: until one broke a rule. */
export interface Report {
  ran: number;
  /** Of the seed that was run last. */
  last?: Result;
  error?: string;
}

export class Simulator {
  private readonly child: ChildProcess;
  private reply: (report: Report) => void = () => undefined;
  private readonly ended: Promise<void>;

  constructor() {
    this.child = fork(path.join(__dirname, "program.ts"), {
      cwd: repositoryRoot,
      execArgv: RUN_TYPESCRIPT,
      env: { ...process.env, NODE_ENV: "test", NODE_OPTIONS: "" },
    });
    this.child.on("message", (report: Report) => this.reply(report));
    this.ended = once(this.child, "exit").then(() => {
      this.reply({ ran: 0, error: "the process ended" });
    });
  }

  /** One request at a time. */
  async run(request: Request): Promise<Report> {
    const report = await new Promise<Report>((resolve) => {
      this.reply = resolve;
      this.child.send(request);
    });
    if (report.error !== undefined) throw new Error(report.error);
    return report;
  }

  /** @throws Error with the history of the first seed that breaks a rule */
  async expectNoViolation(request: Request): Promise<void> {
    const { ran, last } = await this.run(request);
    if (last?.violation !== undefined)
      throw new Error(`seed ${last.seed}:\n${last.history.join("\n")}`);
    if (ran < request.count)
      process.stderr.write(
        `simulation: ${ran} of ${request.count} seeds in ${request.limitMs} ms\n`,
      );
  }

  async stop(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
  }
}
