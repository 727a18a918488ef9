/** What a suite that is interrupted leaves behind. */
import * as path from "path";
import { hasRedis } from "./support/redisServer";
import { Service } from "./support/service";
import { RUN_TYPESCRIPT } from "./support/sources";
import { TemporaryProject } from "./support/temporaryProject";
import { until } from "./support/until";

const file = (name: string) =>
  JSON.stringify(path.join(__dirname, "support", name));

/** Starts programs as a suite does, prints their process ids, and waits. */
const SUITE = `
import { hasRedis, RedisServer } from ${file("redisServer")};
import { Service } from ${file("service")};

async function main() {
  const forever = ["-e", "setInterval(() => undefined, 1000)"];
  const pids = [new Service(process.execPath, forever, { cwd: "." }).child.pid];
  if (hasRedis) pids.push((await new RedisServer().start())["child"].pid);
  console.log("started " + pids.join(" "));
}
void main();
`;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)(
  "a suite that is ended by %s leaves no program behind",
  async (signal) => {
    const project = new TemporaryProject({ "suite.ts": SUITE });
    const suite = new Service(
      process.execPath,
      [...RUN_TYPESCRIPT, project.path("suite.ts")],
      { cwd: project.root },
    );
    try {
      await suite.saw(/^started /);
      const pids = suite.lines
        .find((line) => line.startsWith("started "))!
        .split(" ")
        .slice(1)
        .map(Number);
      expect(pids).toHaveLength(hasRedis ? 2 : 1);
      expect(pids.map(isAlive)).not.toContain(false);
      suite.child.kill(signal);
      await until(() => !pids.some(isAlive));
    } finally {
      await suite.stop("SIGKILL");
      project.remove();
    }
  },
);
