/** The repository as `git clone` brings it. */
import * as fs from "fs";
import * as path from "path";
import { expectAnswers, visit } from "../support/acceptance";
import { Journey } from "../support/journey";
import { RUN_IN_A_CLONE, ShellBlocks } from "../support/shellBlocks";
import { repositoryRoot } from "../support/temporaryProject";

const journey = new Journey([]);
const { registry, workshop } = journey;
const step = journey.step.bind(journey);
const reader = new ShellBlocks(() => ({
  ...registry.env,
  ENABLE_TCP_SERVER: "false",
  REDIS_HOST: undefined,
  REDIS_URL: undefined,
}));

step("README, from a clone: npm ci, start, test", async () => {
  const clone = workshop.path("clone");
  copyRepository(clone);
  // who runs this suite has run `npm ci` in the repository
  for (const folder of ["node_modules", "test/interop/node_modules"])
    linkModules(folder, clone);
  reader.assume("npm ci", clone);
  const at = { cwd: clone };
  const [starting, testing] = RUN_IN_A_CLONE;
  await reader.run("README.md", starting, {
    ...at,
    whileServing: async (port) => expectAnswers(await visit(port)),
  });
  // the registry of this test knows no other version of the package, and the tests want 29
  const env = { npm_config_registry: undefined };
  await reader.run("README.md", testing, { ...at, env });
});

/** A folder of modules that the clone has in common with the repository. */
function linkModules(folder: string, clone: string): void {
  const installed = path.join(repositoryRoot, folder);
  if (fs.existsSync(installed))
    fs.symlinkSync(installed, path.join(clone, folder));
}

/** What `git clone` brings, with few of its tests: all of them are run by those who run this one. */
function copyRepository(target: string): void {
  const without = ["dist", ".git", "tmp", "log", "pids"];
  const tests = ["interop", "support", "tsconfig.json", "utils"];
  fs.cpSync(repositoryRoot, target, {
    recursive: true,
    filter: (file) => {
      const parts = path.relative(repositoryRoot, file).split(path.sep);
      if (parts.includes("node_modules")) return false;
      const [first, second] = parts;
      if (first === "test" && second) return tests.includes(second);
      return !without.includes(first);
    },
  });
}
