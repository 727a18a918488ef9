/** Checks of the machine and the project's folder. */
import * as fs from "node:fs";
import * as path from "node:path";
import { satisfies } from "semver";
import { api } from "../../api";
import { packageRoot } from "../../environment/runtime";
import { toError } from "../../errors";
import { plainText } from "../../log/escape";
import { listSourceFiles } from "../../utils/fileUtils";
import { instancesOf, loadModule } from "../../utils/modules";
import { fail, type Finding, ok, warn } from "./check";

/** Compares the running Node with the requirements of the framework and the project. */
export function checkNode(
  projectRoot: string,
  version = process.versions.node,
  frameworkRoot = packageRoot,
): Finding {
  for (const folder of [frameworkRoot, projectRoot]) {
    const { name, range } = readEngine(folder);
    if (range && !satisfies(version, range))
      return fail("node", `${version} is not ${range}, which ${name} asks for`);
  }
  return ok("node", version);
}

/** The server writes its log, its pid file and uploads. */
export function checkFolders(folders: readonly string[]): Finding {
  const refused = folders.find((folder) => !isWritable(folder));
  return refused
    ? fail("folders", `${refused} cannot be written`)
    : ok("folders", "log, pid and upload folders can be written");
}

/** A server that cannot write the client for pages starts without it. @returns undefined if it is there or can be written */
export function checkClientScript(file: string): Finding | undefined {
  if (fs.existsSync(file) || isWritable(path.dirname(file))) return undefined;
  return warn(
    "folders",
    `${file} cannot be written: pages that load the websocket client from there get a 404`,
  );
}

/** A folder that does not exist yet can be created if its parent is writable. */
function isWritable(folder: string): boolean {
  const present = fs.existsSync(folder) ? folder : path.dirname(folder);
  try {
    fs.accessSync(present, fs.constants.W_OK);
    return fs.statSync(present).isDirectory();
  } catch {
    return false;
  }
}

function readEngine(folder: string): { name: string; range?: string } {
  const file = path.join(folder, "package.json");
  if (!fs.existsSync(file)) return { name: folder };
  const { name = folder, engines } = JSON.parse(
    fs.readFileSync(file, "utf8"),
  ) as { name?: string; engines?: { node?: string } };
  return { name, range: engines?.node };
}

// --- Checks of the project's actions and tasks, without starting anything.

interface Named {
  name?: string;
  version?: unknown;
  validate?(): void;
}

const KINDS = { actions: "action", tasks: "task" } as const;

/** Load each file and construct each of its classes once: all must work, and no two may have the same identity. */
export function checkCode(
  kind: "actions" | "tasks",
  files: readonly string[],
  projectRoot: string,
): Finding[] {
  prepareMiddleware();
  const findings: Finding[] = [];
  const owners = new Map<string, string>();
  for (const file of files) {
    const shown = path.relative(projectRoot, file);
    try {
      for (const identity of identitiesIn(file, kind)) {
        const owner = owners.get(identity);
        if (owner)
          findings.push(
            fail(kind, `${identity} is in both ${owner} and ${shown}`),
          );
        owners.set(identity, shown);
      }
    } catch (error) {
      findings.push(fail(kind, `${shown}: ${toError(error).message}`));
    }
  }
  if (findings.length > 0) return findings;
  return [ok(kind, `${owners.size} load, each with its own name`)];
}

/** Files may add middleware while they load, which a server has prepared by then. */
function prepareMiddleware(): void {
  for (const name of ["actions", "tasks", "chatRoom", "connections"])
    if (!Reflect.has(api, name))
      Reflect.set(api, name, {
        middleware: {},
        globalMiddleware: [],
        tasks: {},
        addMiddleware: () => undefined,
      });
}

function identitiesIn(file: string, kind: "actions" | "tasks"): string[] {
  const found = instancesOf<Named>(loadModule(file), KINDS[kind]);
  return found.map((instance) => {
    if (!instance.name) throw new Error("it has no name");
    const version =
      kind === "actions" ? ` v${plainText(instance.version ?? 1)}` : "";
    return `${instance.name}${version}`;
  });
}

// --- Checks that the compiled code matches the sources.

/** The output of `actionhero types` is for clients: the server does not run it. */
const TYPES_FILE = "actions.gen.ts";

/** Compiled code that is older than its sources does not match them. */
export function checkBuild(projectRoot: string): Finding {
  const source = path.join(projectRoot, "src");
  const compiled = path.join(projectRoot, "dist");
  const sources = listSourceFiles(source, [".ts"]);
  if (sources.length === 0) return ok("build", "there is no src to compile");
  if (!fs.existsSync(compiled))
    return fail("build", "dist is missing: run `npm run build`");

  const stale = sources.find((file) => {
    if (path.basename(file) === TYPES_FILE) return false;
    const target = path
      .join(compiled, path.relative(source, file))
      .replace(/\.ts$/, ".js");
    const made = fs.statSync(target, { throwIfNoEntry: false });
    return !made || made.mtimeMs < fs.statSync(file).mtimeMs;
  });
  if (!stale) return ok("build", "dist is as new as src");
  const name = path.relative(projectRoot, stale);
  return warn("build", `${name} is newer than dist: run \`npm run build\``);
}
