/** Writes single files into a project: an action, a task, a server and so on, with the test beside them. */
import * as fs from "node:fs";
import * as path from "node:path";
import { createFileSafely, fileExists } from "../../utils/fileUtils";
import { fillCode, readTemplate, stringLiteral } from "./templates";

/** The keys of `config.general.paths` whose folders hold generated code. */
type PathKey = "action" | "task" | "initializer" | "server" | "cli" | "test";

export interface ComponentFile {
  /** Template below `bin/templates`, e.g. `"action.ts"`. */
  template: string;
  path: PathKey;
  /** The folder inside that path (default: none). */
  folder?: string;
}

/** What a template can hold: texts are written as strings of code, numbers as they are. */
export type ComponentValues = { name: string } & {
  [key: string]: string | number;
};

/**
 * Write the files of one component, all or none.
 * @throws Error `file '<path>' already exists`, or when the name is none
 */
export function generateComponent(
  files: readonly ComponentFile[],
  values: ComponentValues,
): void {
  refuseStrangeName(values.name);
  const code = Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      key,
      typeof value === "string" ? stringLiteral(value) : value,
    ]),
  );
  const targets = files.map((file) =>
    path.join(folderOf(file.path), file.folder ?? "", `${values.name}.ts`),
  );
  const written = files.map((file, i) => ({
    target: targets[i]!,
    content: fillCode(readTemplate(file.template), {
      ...code,
      source: importPath(targets[i]!, targets[0]!),
    }),
  }));

  const taken = written.find(({ target }) => fileExists(target));
  if (taken)
    throw new Error(`file '${path.normalize(taken.target)}' already exists`);
  for (const { target, content } of written) {
    fs.mkdirSync(path.dirname(target), { recursive: true });
    console.log(createFileSafely(target, content));
  }
}

/** How one file of code imports another. */
function importPath(from: string, to: string): string {
  const relative = path.relative(path.dirname(from), to);
  const name = relative.split(path.sep).join("/").replace(/\.ts$/, "");
  return stringLiteral(name.startsWith(".") ? name : `./${name}`);
}

/** The name is that of a file; it may have folders in front, and stays below its own. */
function refuseStrangeName(name: string): void {
  const parts = name.split(/[\\/]/);
  if (parts.some((part) => part === "" || part === "." || part === ".."))
    throw new Error(`\`${name}\` is not a name`);
}

/** Generated code belongs to the sources, also when the compiled project runs. */
function folderOf(key: PathKey): string {
  // loaded here, because loading it is what builds the configuration
  const { config } =
    require("../../config/config") as typeof import("../../config/config");
  const { dist, src, ...lists } = config.general.paths as unknown as {
    dist: string;
    src: string;
  } & Record<PathKey, string[]>;
  return lists[key][0]!.replace(dist, src);
}
