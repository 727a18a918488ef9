/** A generated project, built, in production, with a small heap: what the corpora and the fuzzer attack. */
import * as fs from "node:fs";
import * as path from "node:path";
import { ask } from "../support/ask";
import { compile } from "../support/compile";
import { freePort } from "../support/freePort";
import { generatedProject } from "../support/generatedProject";
import { Service } from "../support/service";
import {
  repositoryRoot,
  type TemporaryProject,
} from "../support/temporaryProject";

const HEAP_MB = 128;

/** Lies beside the public folder, and must never be sent. */
export const SECRET = "the-secret-of-the-project";

/** What the process says of itself. */
export interface Probe {
  rssMb: number;
  connections: number;
  /** Requests that only a smuggler can have sent. */
  canaries: number;
  /** CPU time between two turns of the event loop at most, since the last probe: a stalled machine uses none, in ms. */
  blockedMs: number;
  /** Whether an object has a property that it was not given. */
  isPolluted: boolean;
  temporaryFiles: number;
}

export interface Target {
  ports: { http: number; tcp: number };
  service: Service;
  probe: () => Promise<Probe>;
  stop: () => Promise<number | null>;
}

const ACTIONS = `
import * as fs from "node:fs";
import { api, Action, type ActionProcessor } from "actionhero";

let canaries = 0;
let blockedMs = 0;
let before = process.cpuUsage();
setInterval(() => {
  const { user, system } = process.cpuUsage(before);
  before = process.cpuUsage();
  blockedMs = Math.max(blockedMs, (user + system) / 1000);
}, 20).unref();

abstract class HostileAction extends Action {
  constructor(name: string) {
    super();
    this.name = name;
    this.description = name;
  }
}

export class Echo extends HostileAction {
  inputs = { text: {}, list: {}, object: {}, number: { formatter: Number } };
  constructor() {
    super("echo");
  }
  async run({ params }: ActionProcessor<Echo>) {
    const { text, list, object, number } = params;
    return { text, list, object, number };
  }
}

export class Reflect extends HostileAction {
  inputs = { text: {} };
  constructor() {
    super("reflect");
  }
  async run({ connection, params }: ActionProcessor<Reflect>) {
    if (connection.type === "web") {
      await connection.setHeader!("X-Reflected", params.text);
      connection.rawConnection.responseHeaders.push(["X-Pushed", params.text]);
    }
    return { text: params.text };
  }
}

export class Careless extends HostileAction {
  inputs = { text: {} };
  constructor() {
    super("careless");
  }
  async run({ connection, params }: ActionProcessor<Careless>) {
    void connection.setHeader?.("X-Reflected", params.text);
    return { text: params.text };
  }
}

export class Upload extends HostileAction {
  inputs = { picture: {} };
  constructor() {
    super("upload");
  }
  async run({ params }: ActionProcessor<Upload>) {
    return { size: (params.picture as { size?: number } | undefined)?.size };
  }
}

export class Canary extends HostileAction {
  constructor() {
    super("canary");
  }
  async run() {
    return { canaries: ++canaries };
  }
}

export class Probe extends HostileAction {
  constructor() {
    super("probe");
  }
  async run({ connection }: ActionProcessor<Probe>) {
    const blocked = Math.round(blockedMs);
    blockedMs = 0;
    return {
      rssMb: Math.round(process.memoryUsage.rss() / 1024 / 1024),
      connections: Object.keys(api.connections.connections).filter(
        (id) => id !== connection.id,
      ).length,
      canaries,
      blockedMs: blocked,
      isPolluted: "polluted" in {},
      temporaryFiles: fs.readdirSync(process.env.TMPDIR!).length,
    };
  }
}
`;

/** @throws Error when the file does not have a text that is to be replaced */
function edit(file: string, replacements: Record<string, string>): void {
  let text = fs.readFileSync(file, "utf8");
  for (const [old, replacement] of Object.entries(replacements)) {
    if (!text.includes(old)) throw new Error(`${file} has no ${old}`);
    text = text.replace(old, replacement);
  }
  fs.writeFileSync(file, text);
}

const SOURCES = ["src", "bin", "config", "actions", "tasks", "initializers"];

/** Compile the framework and the project. */
export async function buildTarget(): Promise<TemporaryProject> {
  const project = generatedProject({}, { ".env": "SECRET=" + SECRET });
  project.write("src/actions/hostile.ts", ACTIONS);
  project.write("secret.txt", SECRET);
  project.write("public-secrets/secret.txt", SECRET);
  fs.mkdirSync(project.path("uploads"));
  // other work on this machine may stop all of its processes for a second; what requests cost is measured as CPU time
  edit(project.path("src/config/api.ts"), {
    "maxEventLoopDelay: 1000": "maxEventLoopDelay: 60_000",
  });
  fs.symlinkSync(project.path("secret.txt"), project.path("public/link.txt"));

  const framework = project.path("node_modules/actionhero");
  fs.rmSync(framework, { recursive: true });
  fs.mkdirSync(framework);
  for (const name of ["package.json", "public", "src/assets", "bin/templates"])
    fs.cpSync(path.join(repositoryRoot, name), path.join(framework, name), {
      recursive: true,
    });
  fs.symlinkSync(
    path.join(repositoryRoot, "node_modules"),
    path.join(framework, "node_modules"),
  );
  await compile(repositoryRoot, SOURCES, path.join(framework, "dist"));
  await compile(project.path("src"), ["."], project.path("dist"));
  return project;
}

export async function startTarget(project: TemporaryProject): Promise<Target> {
  const ports = { http: await freePort(), tcp: await freePort() };
  const heap = `--max-old-space-size=${HEAP_MB}`;
  const service = new Service(process.execPath, [heap, "dist/server.js"], {
    cwd: project.root,
    env: {
      NODE_ENV: "production",
      PORT: String(ports.http),
      ENABLE_TCP_SERVER: "true",
      SOCKET_PORT: String(ports.tcp),
      TMPDIR: project.path("uploads"),
      ACTIONHERO_SERVER_TOKEN: "d9c3f7a1b5e8462f9d0c1a7b3e5f8d24",
      SERVER_TOKEN: "d9c3f7a1b5e8462f9d0c1a7b3e5f8d24",
      AUTOMATIC_ROUTES: undefined,
      REDIS_URL: undefined,
      REDIS_HOST: undefined,
    },
  });
  await service.saw(/\*\*\* .* Started \*\*\*/);
  return {
    ports,
    service,
    probe: async () => (await ask(ports.http, "/api/probe")).json as Probe,
    stop: () => service.stop(),
  };
}
