/** A client that sends requests without end and reads no response, against both profiles in a small heap. */
import * as net from "node:net";
import { ask } from "../support/ask";
import {
  generatedProject,
  linkedProject,
  startProject,
} from "../support/generatedProject";
import type { Service } from "../support/service";
import type { TemporaryProject } from "../support/temporaryProject";
import { ATTACKER } from "./wire";

const HEAP_MB = 256;
/** More than before the attack. */
const MAX_GROWTH_MB = 200;

const REQUESTS = 60_000;
/** How many connections share them; one alone is bounded by what is read of it. */
const CONNECTIONS = process.env.HOSTILE_LONG ? [1, 50, 500] : [50];
const HONEST_REQUESTS = 20;

const ACTIONS = `
import { Action, type ActionProcessor } from "actionhero";

export class Slow extends Action {
  constructor() {
    super();
    this.name = "slow";
    this.description = "waits, and sends much";
  }
  async run() {
    await new Promise((resolve) => setTimeout(resolve, 100));
    return { text: "x".repeat(10_000) };
  }
}

export class Memory extends Action {
  constructor() {
    super();
    this.name = "memory";
    this.description = "how much memory the process has";
  }
  async run() {
    return { rssMb: Math.round(process.memoryUsage.rss() / 1024 / 1024) };
  }
}
`;

const PROJECTS: Record<string, () => TemporaryProject> = {
  "a project of version 29": () =>
    linkedProject({
      "src/config/paths.js": `exports.DEFAULT = { general: () => ({
        paths: { action: [require("path").join(__dirname, "..", "actions")] } }) };`,
      "src/server.ts": `
        import { Process } from "actionhero";
        new Process().start();`,
    }),
  "a new project": () => generatedProject(),
};

describe.each(Object.keys(PROJECTS))("%s", (name) => {
  let project: TemporaryProject;
  let service: Service;
  let port: number;
  let attackers: net.Socket[] = [];

  beforeAll(async () => {
    project = PROJECTS[name]();
    project.write("src/actions/slow.ts", ACTIONS);
    ({ port, service } = await startProject(project, {
      NODE_ENV: "production",
      NODE_OPTIONS: `--max-old-space-size=${HEAP_MB}`,
    }));
  }, 120_000);

  afterAll(async () => {
    await service?.stop();
    project?.remove();
  });

  afterEach(() => {
    for (const socket of attackers) socket.destroy();
    attackers = [];
  });

  /** New projects answer 503 while the event loop is late, which it is on a busy machine. */
  async function rssMb(): Promise<number> {
    for (;;) {
      const { status, json } = await ask(port, "/api/memory");
      if (status === 200) return json.rssMb as number;
      expect(status).toBe(503);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Send many requests, as far as the server takes them, and read nothing. */
  function attack(requests: number): void {
    const socket = net.connect({
      port,
      host: "127.0.0.1",
      localAddress: ATTACKER,
    });
    attackers.push(socket.pause());
    socket.on("error", () => undefined);
    socket.write(
      "GET /api/slow HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(requests),
    );
  }

  test.each(CONNECTIONS)(
    "serves others in bounded memory while %i connections pipeline",
    async (connections) => {
      const before = await rssMb();
      for (let i = 0; i < connections; i++) attack(REQUESTS / connections);
      let most = 0;
      let slowestMs = 0;
      for (let i = 0; i < HONEST_REQUESTS; i++) {
        const start = performance.now();
        most = Math.max(most, await rssMb());
        slowestMs = Math.max(slowestMs, performance.now() - start);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      process.stderr.write(
        `${name}, ${connections} connections: ${before} MB before, ${most} MB at most; ` +
          `others waited for ${Math.round(slowestMs)} ms at most\n`,
      );
      expect(most - before).toBeLessThan(MAX_GROWTH_MB);
      for (const socket of attackers) socket.destroy();
      expect(service.child.exitCode).toBeNull();
      await rssMb();
    },
    120_000,
  );
});
