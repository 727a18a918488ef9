/** Fills the text templates that generators write from. */
import * as fs from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../../environment/runtime";
import { createDirSafely, createFileSafely } from "../../utils/fileUtils";

/** The longest line that prettier does not break. */
const PRINT_WIDTH = 80;

/** The text of a template, e.g. `"action.ts"` or `"project/server.ts"`. */
export function readTemplate(name: string): string {
  const file = path.join(packageRoot, "bin", "templates", `${name}.template`);
  return fs.readFileSync(file, "utf8");
}

/** Replace each `%%key%%` by its value, unchanged; every key must have a value. */
export function fillTemplate(
  text: string,
  values: { [key: string]: string | number },
): string {
  return text.replace(/%%(\w+)%%/g, (placeholder, key: string) => {
    const value = values[key];
    if (value === undefined)
      throw new Error(`no value for ${placeholder} in the template`);
    return String(value);
  });
}

/** Fill a template of TypeScript code, and break its assignments where prettier would. */
export function fillCode(
  text: string,
  values: { [key: string]: string | number },
): string {
  return fillTemplate(text, values)
    .split("\n")
    .map(breakLongAssignment)
    .join("\n");
}

/** A string as prettier would write it: double quotes, unless single ones need fewer escapes. */
export function stringLiteral(value: string): string {
  const json = JSON.stringify(value);
  const doubles = value.split('"').length;
  const singles = value.split("'").length;
  if (doubles <= singles) return json;
  const inside = json.slice(1, -1).replaceAll('\\"', '"');
  return `'${inside.replaceAll("'", "\\'")}'`;
}

function breakLongAssignment(line: string): string {
  if (line.length <= PRINT_WIDTH) return line;
  return line.replace(/^( *)(this\.\w+ =|\w+:) (["'].*)$/, "$1$2\n$1  $3");
}

// --- Writes the files of a new project, with one printed line per file; existing files are never replaced.

export class Scaffold {
  constructor(
    private readonly base: string,
    private readonly rewrite = (source: string, _file: string) => source,
    private readonly onFile: (target: string) => void = () => undefined,
  ) {}

  /** Create directories below the base, parents first. */
  directories(names: readonly string[]): void {
    fs.mkdirSync(this.base, { recursive: true });
    for (const name of names)
      this.report(() => createDirSafely(path.join(this.base, name)));
  }

  /** Write a file below the base. */
  write(target: string, content: string | Buffer): void {
    this.onFile(target);
    const file = path.join(this.base, target);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    this.report(() => createFileSafely(file, content));
  }

  /** Copy one of the framework's own TypeScript files, converted for the project. */
  copySource(source: string, target: string): void {
    const text = fs.readFileSync(path.join(packageRoot, source), "utf8");
    this.write(target, this.rewrite(text, source));
  }

  /** Copy a folder of assets, without files that are written at boot. */
  copyFolder(folder: string, without: readonly string[]): void {
    const root = path.join(packageRoot, folder);
    for (const entry of fs
      .readdirSync(root, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())) {
      const file = path.join(entry.parentPath, entry.name);
      const name = path.relative(root, file);
      if (without.includes(name.split(path.sep)[0]!)) continue;
      this.write(path.join(folder, name), fs.readFileSync(file));
    }
  }

  /** An existing file is reported and kept. */
  private report(step: () => string): void {
    try {
      console.log(step());
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== "EEXIST") throw error;
      console.log(`kept: ${message}`);
    }
  }
}
