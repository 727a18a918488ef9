/** A copy of the project of version 3 of the fixtures; what is imported after this one runs in it. */
import * as fs from "node:fs";
import * as path from "node:path";
import { repositoryRoot, TemporaryProject } from "./temporaryProject";

export const oldProject = new TemporaryProject();
fs.cpSync(
  path.join(repositoryRoot, "test", "fixtures", "v3-project"),
  oldProject.root,
  { recursive: true },
);
process.env.PROJECT_ROOT = oldProject.root;
process.env.LEGACY = path.join(repositoryRoot, "src", "legacy", "index.ts");
