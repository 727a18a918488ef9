/** The servers that a benchmark compares, each in a process of its own, and the process that loads them. */
import { fork, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { option } from "./options";

const folder = path.join(__dirname, "..");
/** The package to measure; another build of it can be named. */
export const root = process.env.BENCH_ACTIONHERO ?? path.join(folder, "..");
export const peers = path.join(folder, "node_modules");

/** What counts as a server's own code in a profile: ours, and the peers with all that they need. */
export const ownCode = [
  path.join(fs.realpathSync(root), "dist"),
  path.join(folder, "node_modules"),
];

/** The servers have the first core for themselves, and the load the last one: where the system can do that. */
export const isPinned =
  os.cpus().length > 1 && spawnSync("taskset", ["--version"]).status === 0;

function pin({ pid }: ChildProcess, core: number): void {
  if (isPinned) spawnSync("taskset", ["-a", "-cp", String(core), String(pid)]);
}

export interface ServerSpec {
  /** Below bench/; it calls `report` of report.js. */
  script: string;
  cwd?: string;
  env?: Record<string, string>;
  execArgv?: string[];
}

export type Running<Spec extends ServerSpec = ServerSpec> = Spec & {
  name: string;
  child: ChildProcess;
  port: number;
};

/** A folder for the projects and the output of one run; it goes with `withServers`. */
export function scratchFolder(bench: string): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), `bench-${bench}-`));
}

export interface ProjectOptions {
  isSilent: boolean;
  isV29?: boolean;
  /** Bytes of public/file.txt. */
  fileSize?: number;
  /** Texts of config files, by name. */
  config?: Record<string, string>;
  /** The text of a file with more actions. */
  actions?: string;
  /** Another build of this package. */
  build?: string;
}

/** Write the project of bench/http/project.js; what starts it needs its folder as `cwd` and as PROJECT_ROOT. */
export function writeProject(
  cwd: string,
  { isV29 = false, build = root, ...options }: ProjectOptions,
): { cwd: string; env: { PROJECT_ROOT: string } } {
  const project = require("../http/project.js") as {
    writeProject: (options: object) => string;
  };
  project.writeProject({
    ...options,
    isV29,
    folder: cwd,
    actionhero: isV29 ? path.join(peers, "actionhero") : build,
    peers,
  });
  return { cwd, env: { PROJECT_ROOT: cwd } };
}

/**
 * Start the servers that `--servers=a;b` names, all by default, and the load; whatever happens, they end with `work`.
 * @param loadScript below bench/
 * @returns the result of `work`
 */
export async function withServers<Spec extends ServerSpec, Result>(
  scratch: string,
  specs: Record<string, Spec>,
  loadScript: string,
  work: (servers: Running<Spec>[], load: ChildProcess) => Promise<Result>,
): Promise<Result> {
  const load = startLoad(loadScript);
  try {
    return await withServersAlone(scratch, specs, (servers) =>
      work(servers, load),
    );
  } finally {
    load.kill();
  }
}

/** The same for servers that do their work by themselves. */
export async function withServersAlone<Spec extends ServerSpec, Result>(
  scratch: string,
  specs: Record<string, Spec>,
  work: (servers: Running<Spec>[]) => Promise<Result>,
): Promise<Result> {
  const servers: Running<Spec>[] = [];
  try {
    for (const [name, spec] of chosen(specs))
      servers.push(await start(name, spec, scratch));
    return await work(servers);
  } finally {
    for (const { child } of servers) child.kill("SIGKILL");
    fs.rmSync(scratch, { recursive: true, force: true });
  }
}

/** The servers named by `--servers=a;b`; all servers by default. */
export function chosen<Spec>(specs: Record<string, Spec>): [string, Spec][] {
  const wanted = option("servers", "");
  return Object.entries(specs).filter(
    ([name]) => wanted === "" || wanted.split(";").includes(name),
  );
}

/** @param script below bench/ */
export function startLoad(script: string): ChildProcess {
  const load = fork(path.join(folder, script), [], { execArgv: [] });
  pin(load, os.cpus().length - 1);
  return load;
}

export async function start<Spec extends ServerSpec>(
  name: string,
  spec: Spec,
  scratch: string,
): Promise<Running<Spec>> {
  const output = fs.openSync(
    path.join(scratch, `${name.replace(/\W+/g, "-")}.out`),
    "w",
  );
  const child = fork(path.join(folder, spec.script), [], {
    cwd: spec.cwd ?? scratch,
    execArgv: spec.execArgv ?? [],
    env: {
      ...process.env,
      NODE_ENV: "production",
      LOG_LEVEL: "info",
      ...spec.env,
    },
    stdio: ["ignore", output, output, "ipc"],
  });
  pin(child, 0);
  const exited = once(child, "exit").then(() => {
    throw new Error(`${name} did not start, see ${scratch}`);
  });
  const [{ port }] = (await Promise.race([once(child, "message"), exited])) as [
    { port: number },
  ];
  exited.catch(() => undefined);
  return { ...spec, name, child, port };
}

/** Send a message to a child, and wait for the next one from it. */
export async function tell<T>(
  child: ChildProcess,
  message: object | string,
): Promise<T> {
  const answer = once(child, "message");
  child.send(message);
  const [value] = (await answer) as [T & { error?: string }];
  if (value.error) throw new Error(value.error);
  return value;
}
