/** The texts that generators write: filled templates, and sources of the framework. */
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

// --- The files of a new project, with one printed line per file; existing files are never replaced.

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
      .filter((file) => file.isFile())) {
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

// --- The differences between a CommonJS project (as in v29) and an ES module project.

export type Flavour = "commonjs" | "esm";

/** Converts a source file of the framework for a project: it imports the package instead of the framework's sources. */
export function adaptSource(source: string, flavour: Flavour): string {
  const text = source.replaceAll('"../src"', '"actionhero"');
  return flavour === "esm" ? toModule(text) : text;
}

/** An ES module has neither `__dirname` nor `require`. `import.meta` would do, but jest runs the file as CommonJS. */
function toModule(source: string): string {
  // winston offers its functions to ES modules on the default export only
  const text = source.replace(
    'import * as winston from "winston"',
    'import winston from "winston"',
  );
  return withoutRequire(withoutDirname(text));
}

function withoutRequire(text: string): string {
  if (!/\brequire\("/.test(text)) return text;
  const imports = /^(?:import [^;]*;\n)*/.exec(text)![0];
  const rest = text.slice(imports.length).trimStart();
  return [
    `import { createRequire } from "module";\n${imports}`,
    "const load = createRequire(`${process.cwd()}/package.json`);\n",
    rest.replaceAll('require("', 'load("'),
  ].join("\n");
}

function withoutDirname(text: string): string {
  if (!text.includes("__dirname")) return text;
  return text
    .replaceAll('path.join(__dirname, "..", ', "path.join(codeFolder, ")
    .replace(
      /^( +)const projectRoot = .*\n/m,
      `$&$1const codeFolder = path.join(
$1  projectRoot,
$1  config.process.typescript ? "src" : "dist",
$1);\n`,
    );
}

/** Relative imports of ES modules name the compiled file, and a module knows its location as a URL. */
export function adaptTemplate(text: string, flavour: Flavour): string {
  if (flavour === "commonjs") return text;
  return text
    .replace(/(from "\.{1,2}\/[^"]+)"/g, '$1.js"')
    .replace(
      'join(__dirname, "..", ".env")',
      'new URL("../.env", import.meta.url)',
    )
    .replace(
      'join(__dirname, "..", "node_modules", ".cache", "compiled")',
      'fileURLToPath(\n  new URL("../node_modules/.cache/compiled", import.meta.url),\n)',
    )
    .replace(
      'import { join } from "path";\n',
      'import { fileURLToPath } from "url";\n',
    );
}

/** The server starts in a test hook, which compiles its files: on a busy machine this exceeds jest's five seconds. */
const TEST_TIMEOUT_MS = 30_000;

/**
 * A server shares objects on `globalThis`, and may log lines after the last test, such as the end of its connections;
 * jest would warn of each object that it cleans up before.
 */
const testEnvironmentOptions = { globalsCleanup: "off" };

/** Tests of a project are compiled as CommonJS in both flavours, because jest cannot require ES modules. */
export function jestConfig(flavour: Flavour): Record<string, unknown> {
  if (flavour === "commonjs") {
    return {
      testEnvironment: "node",
      testEnvironmentOptions,
      testTimeout: TEST_TIMEOUT_MS,
      transform: { "^.+\\.ts?$": "ts-jest" },
    };
  }
  const tsconfig = {
    module: "commonjs",
    moduleResolution: "node10",
    ignoreDeprecations: "6.0",
    esModuleInterop: true,
    target: "es2022",
    strict: true,
    types: ["node", "jest"],
  };
  return {
    testEnvironment: "node",
    testEnvironmentOptions,
    testTimeout: TEST_TIMEOUT_MS,
    moduleNameMapper: { "^(\\.{1,2}/.*)\\.js$": "$1" },
    transform: { "^.+\\.ts?$": ["ts-jest", { tsconfig }] },
  };
}
