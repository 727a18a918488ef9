/**
 * The checks of `doctor`: one row each.
 *
 * To add one, add a row, a fault to `test/cli/doctor/doctor.test.ts`, and the row to the list of `docs/production.md`. The
 * rows here inspect the project from outside; those of `booted.ts` run in a child process that has initialized it, and can use
 * `api`.
 */
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import type {
  ActionheroConfigInterface,
  FormOptions,
} from "../../config/types";
import { toError } from "../../errors";
import {
  checkBuild,
  checkClientScript,
  checkCode,
  checkFolders,
  checkNode,
} from "./environment";
import { type Check, fail, type Finding, ok, warn } from "./check";
import { checkRedis } from "./redis";
import { checkNames, checkValues, settingChecks } from "./settings";
import { fork } from "node:child_process";

/** The subject of the checks. */
interface Project {
  root: string;
  config: ActionheroConfigInterface;
  env: string;
  /** The files of actions and tasks, of the project and its plugins. */
  filesOf: (kind: "actions" | "tasks") => string[];
  /** It serves on this machine already, so that its ports may be in use. */
  isRunning: boolean;
}

/** Checks that run before the configuration is loaded, in the folder of the project. */
export const folderChecks: readonly Check<string>[] = [
  {
    name: "node",
    wants:
      "the Node version satisfies `engines` of the framework and of the project",
    run: (root) => checkNode(root),
  },
  { name: "build", wants: "`dist` is as new as `src`", run: checkBuild },
];

export const checks: readonly Check<Project>[] = [
  {
    name: "config",
    wants: "the configuration loads",
    run: ({ env }) => ok("config", `loads for ${env}`),
  },
  {
    name: "setting names",
    wants: "no setting is misspelled",
    run: ({ config }) => checkNames(config),
  },
  {
    name: "setting values",
    wants: "every setting of the framework has a value that it accepts",
    run: ({ config }) => checkValues(config),
  },
  ...settingChecks.map(({ run, ...check }) => ({
    ...check,
    run: ({ config, env }: Project) => run(config, env),
  })),
  {
    name: "folders",
    wants:
      "the folders of logs, pid files, uploads and the websocket client are writable",
    run: ({ config }) => [
      checkFolders(writtenFolders(config)),
      ...clientScripts(config).flatMap((file) => checkClientScript(file) ?? []),
    ],
  },
  ...(["actions", "tasks"] as const).map((name) => ({
    name,
    wants: `every file of ${name} loads, and their names are unique`,
    run: ({ root, filesOf }: Project) => checkCode(name, filesOf(name), root),
  })),
  {
    name: "redis",
    wants:
      "redis is a server of version 6.0.6 or newer; it persists its data, evicts no keys, agrees with the clock of this host, and closes dead connections",
    run: ({ config, env }) => checkRedis(config.redis, env),
  },
  ...portChecks(),
  {
    name: "ports",
    wants: "no two servers listen on one port",
    run: ({ config }) => checkDistinctPorts(config),
  },
  {
    name: "boot",
    wants: "the project initializes within 60 s",
    unlessFailed: ["actions", "tasks", "redis"],
    run: () => checkBoot(),
  },
];

function writtenFolders({ general, web }: ActionheroConfigInterface): string[] {
  const { log = [], pid = [] } = (general?.paths ?? {}) as {
    log?: string[];
    pid?: string[];
  };
  const { uploadDir = os.tmpdir() } = (web?.formOptions ?? {}) as FormOptions;
  const uploads = web?.enabled ? [uploadDir] : [];
  return [...log, ...pid, ...uploads];
}

/** The file that the websocket server writes at boot, if it does. */
function clientScripts({
  general,
  websocket,
}: ActionheroConfigInterface): string[] {
  const { public: [folder] = [] } = (general?.paths ?? {}) as {
    public?: string[];
  };
  const { enabled, clientJsPath, clientJsName } = websocket ?? {};
  if (!enabled || !folder || !clientJsName) return [];
  return [path.join(folder, clientJsPath ?? "", `${clientJsName}.js`)];
}

// --- Checks that the ports of the enabled servers are free.

function portChecks(): Check<Project>[] {
  const ports: [
    server: string,
    wants: string,
    settingsOf: (config: ActionheroConfigInterface) => unknown,
  ][] = [
    ["web", "the port of `config.web` is free", ({ web }) => web],
    ["socket", "the port of `config.socket` is free", ({ socket }) => socket],
    [
      "health",
      "`web.healthPort` is free",
      ({ health, web }) => ({
        enabled: health?.enabled,
        port: web?.healthPort,
        bindIP: web?.bindIP,
      }),
    ],
    ["metrics", "`metrics.port` is free", ({ metrics }) => metrics],
  ];
  return ports.map(([server, wants, settingsOf]) => ({
    name: `${server} port`,
    wants: `${wants}, or with \`--running\` in use`,
    run: ({ config, env, isRunning }) =>
      checkPort(server, settingsOf(config) as ListenSettings | undefined, {
        env,
        isRunning,
      }),
  }));
}

/** The settings of one server that say where it listens. */
export interface ListenSettings {
  enabled?: unknown;
  port?: unknown;
  bindIP?: unknown;
}

/**
 * Try to listen where the server would; a path of a unix socket is left to the server.
 * An occupied port is a `fail` if the boot would fail, and a `warn` if the boot would continue
 * without the server.
 */
export async function checkPort(
  server: string,
  settings: ListenSettings | undefined,
  { env, isRunning }: Pick<Project, "env" | "isRunning">,
): Promise<Finding | undefined> {
  if (!settings?.port) return undefined;
  const optional = isOptional(server, settings, env);
  if (!settings.enabled && !optional) return undefined;
  const port = Number(settings.port);
  if (!Number.isInteger(port)) return undefined;

  const check = `${server} port`;
  try {
    await listenOnce(port, settings.bindIP as string | undefined);
    return ok(check, `${port} is free`);
  } catch (error) {
    const isTaken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
    if (isTaken && isRunning)
      return ok(check, `${port} is in use, as by a running server`);
    if (isTaken && optional)
      return warn(
        check,
        `${port} is in use by another process: the server starts without this transport`,
      );
    if (isTaken) return fail(check, `${port} is taken by another process`);
    return fail(check, `cannot listen on ${port}: ${toError(error).message}`);
  }
}

/** The checks of each port find it free, even if two servers want it. */
function checkDistinctPorts(config: ActionheroConfigInterface): Finding[] {
  const { web, socket, health, metrics } = config;
  const servers: [
    setting: string,
    server: unknown,
    port: number | string | undefined,
  ][] = [
    ["web.port", web, web?.port],
    ["socket.port", socket, socket?.port],
    ["web.healthPort", health, web?.healthPort],
    ["metrics.port", metrics, metrics?.port],
  ];
  const owners = new Map<string, string>();
  const findings: Finding[] = [];
  for (const [setting, server, port] of servers) {
    const { enabled } = (server ?? {}) as ListenSettings;
    if (!enabled || !port) continue;
    const owner = owners.get(`${port}`);
    if (owner === undefined) owners.set(`${port}`, setting);
    else
      findings.push(fail("ports", `${owner} and ${setting} are both ${port}`));
  }
  return findings;
}

/** Without an explicit setting, the socket server is enabled in development if its port is free. */
function isOptional(
  server: string,
  { enabled }: ListenSettings,
  env: string,
): boolean {
  return (
    server === "socket" && typeof enabled !== "boolean" && env === "development"
  );
}

function listenOnce(port: number, host?: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen({ port, host: host || undefined }, () =>
      server.close(() => resolve()),
    );
  });
}

// --- The boot of the project, in a child process, up to the point where servers would listen and workers start.

/** How long the project may take to initialize, in ms. */
const LIMIT_MS = 60_000;

/** The result of the child: why the project cannot boot, or findings in a project that can. */
export interface BootReport {
  problem?: string[];
  findings?: Finding[];
}

/** @param limitMs how long it may take, in ms */
export async function checkBoot(limitMs = LIMIT_MS): Promise<Finding[]> {
  const { problem, findings = [] } = await bootChild(limitMs);
  if (problem) return [fail("boot", problem.join("\n      "))];
  return [
    ok("boot", "the project initializes (what it starts was not run)"),
    ...findings,
  ];
}

function bootChild(limitMs: number): Promise<BootReport> {
  const script = path.join(__dirname, `bootChild${path.extname(__filename)}`);
  const child = fork(script, process.argv.slice(2), {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const lastLines = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name]!.setEncoding("utf8").on("data", (text: string) => {
      lastLines[name] = text.trim().split("\n").at(-1) || lastLines[name];
      if (process.env.LOG_LEVEL === "debug") process.stderr.write(text);
    });

  return new Promise((resolve) => {
    let report: BootReport | undefined;
    const end = (what: string) => {
      clearTimeout(timer);
      if (report) return resolve(report);
      const lastLine = lastLines.stderr || lastLines.stdout;
      resolve({
        problem: [
          `cannot start: ${what}`,
          ...(lastLine === "" ? [] : [`  its last line: ${lastLine}`]),
          "  LOG_LEVEL=debug shows what it did",
        ],
      });
    };
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      end(`the project did not initialize within ${limitMs / 1000} s`);
    }, limitMs);
    // it may still write to the project's folders: the check ends with its process
    child.once("message", (sent) => (report = sent as BootReport));
    child.once("exit", (code) => report && end(String(code)));
    child.once("error", (error) => end(error.message));
    child.once("close", (code, signal) =>
      end(`the process ended with ${signal ?? code} before it had initialized`),
    );
  });
}
