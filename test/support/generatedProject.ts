/** Projects as `generate` writes them, on the sources of the framework. */
import * as fs from "fs";
import * as path from "path";
import {
  generateProject,
  type ProjectOptions,
} from "../../src/cli/generate/project";
import { freePort } from "./freePort";
import { Service } from "./service";
import { RUN_TYPESCRIPT } from "./sources";
import { repositoryRoot, TemporaryProject } from "./temporaryProject";

/** Packages that the code of a new project imports. */
const PACKAGES = ["ioredis", "ioredis-mock", "winston", "ws", "zod"];

/** A folder in which `actionhero` is this repository's `src`, as `npm install` would put it there. */
export function linkedProject(
  files: Record<string, string> = {},
): TemporaryProject {
  const entry = path.join(repositoryRoot, "src", "index.ts");
  const project = new TemporaryProject({
    "package.json": JSON.stringify({ name: "linked", version: "1.0.0" }),
    "node_modules/actionhero/index.js": `module.exports = require(${JSON.stringify(entry)});`,
    ...files,
  });
  for (const name of PACKAGES)
    fs.symlinkSync(
      path.join(repositoryRoot, "node_modules", name),
      project.path(`node_modules/${name}`),
    );
  return project;
}

/** A generated project; `files` are there before `generate` runs. */
export function generatedProject(
  options: ProjectOptions = {},
  files: Record<string, string> = {},
): TemporaryProject {
  const project = linkedProject(files);
  generateQuietly(project.root, options);
  return project;
}

/** Run `generate` in a folder without printing what it writes. */
export function generateQuietly(
  folder: string,
  options: ProjectOptions = {},
): void {
  const print = jest.spyOn(console, "log").mockImplementation(() => undefined);
  try {
    generateProject(folder, options);
  } finally {
    print.mockRestore();
  }
}

export interface StartedProject {
  port: number;
  service: Service;
}

/** `npm run dev` of a project, without the watching: resolves when it has started. */
export async function startProject(
  project: TemporaryProject,
  env: Record<string, string | undefined> = {},
): Promise<StartedProject> {
  const port = await freePort();
  const service = runProject(project, { PORT: String(port), ...env });
  await service.saw(/\*\*\* .* Started \*\*\*/);
  return { port, service };
}

/** The same for a project that may not start. */
export function runProject(
  project: TemporaryProject,
  env: Record<string, string | undefined> = {},
): Service {
  return new Service(process.execPath, [...RUN_TYPESCRIPT, "src/server.ts"], {
    cwd: project.root,
    env: {
      ENABLE_TCP_SERVER: "false",
      REDIS_URL: undefined,
      AUTOMATIC_ROUTES: undefined,
      ...env,
    },
  });
}
