import * as fs from "node:fs";
import * as path from "node:path";
import { CLI } from "../../src/cli/cli";
import {
  type Change,
  compilerChanges,
  installedChanges,
  MANIFEST,
  manifestChanges,
  packageFolder,
  sourceChanges,
} from "../../src/cli/upgrade";
import { withProgress } from "../../src/cli/execute";
import { findProjectRoot } from "../../src/environment/runtime";

/** Differences that reading files does not show. */
const NOT_READ = `
Not seen by reading: what plugins do, names that are built at run time, clients that match on texts,
and jobs of version 29 that wait in redis. Run the tests, then \`npx actionhero doctor\`.`;

export class Upgrade extends CLI {
  static readonly needsProject = false;

  constructor() {
    super();
    this.name = "upgrade";
    this.description = "list what a project made for v29 should change";
    this.example = "actionhero upgrade --write";
    this.initialize = false;
    this.inputs = {
      write: { flag: true, letter: "w", description: "make the changes" },
      json: { flag: true, letter: "j", description: "print JSON" },
    };
  }

  async run({ params }: { params: { write?: boolean; json?: boolean } }) {
    const root = findProjectRoot();
    const home = packageFolder(root);
    const manifest = path.relative(root, path.join(home, MANIFEST));
    const found = await withProgress(
      (progress) => [
        ...manifestChanges(home),
        ...installedChanges(home),
        ...compilerChanges(root),
        ...sourceChanges(root, (file) => progress.show(`reading ${file}`)),
      ],
      params.json,
    );
    const changes = found.map((change) =>
      change.file === MANIFEST ? { ...change, file: manifest } : change,
    );
    const made = params.write ? writeChanges(root, changes) : [];
    const listed = changes.map((change) => ({
      file: change.file,
      message: change.message,
      state: made.includes(change) ? "done" : stateOf(change),
    }));

    if (params.json) console.log(JSON.stringify(listed, null, 2));
    else if (listed.length === 0) console.log("nothing to change");
    else
      for (const { state, file, message } of listed)
        console.log(`${state.padEnd(7)} ${file}: ${message}`);
    if (!params.json) console.log(NOT_READ);
    return true;
  }
}

function stateOf(change: Change): string {
  return change.apply ? "to do" : "by hand";
}

/** @returns the changes that were made */
function writeChanges(root: string, changes: readonly Change[]): Change[] {
  const made: Change[] = [];
  for (const change of changes) {
    if (!change.apply) continue;
    const file = path.join(root, change.file);
    fs.writeFileSync(file, change.apply(fs.readFileSync(file, "utf8")));
    made.push(change);
  }
  return made;
}
