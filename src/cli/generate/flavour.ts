/** The differences between a CommonJS project (as in v29) and an ES module project. */

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
