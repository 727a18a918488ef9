/** Commands that read the TypeScript sources of a project instead of its compiled code. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { findProjectRoot } from "../environment/paths";
import { detectTypescript } from "../environment/typescript";
import { listSourceFiles } from "../utils/fileUtils";

/** `types` is part of the build, where there is no compiled code yet, or none that is up to date. */
const COMMANDS = ["types"];

/** The package of new projects that runs TypeScript in Node.js. */
const LOADER = "tsx";

/**
 * Run the command line again with a TypeScript loader, if the command reads sources and the project has some. A
 * project without the loader package is read from its compiled code.
 * @returns the exit code, or undefined if this process has to run the command
 */
export async function runOnSources(
  argv: readonly string[],
): Promise<number | undefined> {
  const [, entry = "", command = ""] = argv;
  if (!COMMANDS.includes(command) || detectTypescript()) return undefined;
  const root = findProjectRoot();
  if (!hasSources(root)) return undefined;
  const loader = runsTypescript() ? undefined : findLoader(root);
  if (!loader && !runsTypescript()) return undefined;

  process.env.ACTIONHERO_TYPESCRIPT_MODE = "true";
  process.env.LOG_LEVEL ??= "error"; // a build shows what fails
  if (!loader) return undefined;
  const words = [...process.execArgv, "--import", loader, entry];
  const child = spawn(process.execPath, [...words, ...argv.slice(2)], {
    stdio: "inherit",
  });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}

function hasSources(root: string): boolean {
  return listSourceFiles(path.join(root, "src", "config"), [".ts"]).length > 0;
}

/** Bun and Deno need no loader. */
function runsTypescript(): boolean {
  return "bun" in process.versions || "deno" in process.versions;
}

/** The URL of the project's loader. */
function findLoader(root: string): string | undefined {
  const { resolve } = createRequire(path.join(path.resolve(root), "index.js"));
  try {
    return pathToFileURL(resolve(LOADER)).href;
  } catch {
    return undefined;
  }
}
