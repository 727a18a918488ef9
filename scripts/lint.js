/** Runs all that `npm run lint` checks, as many at once as there are processors, and prints what each one found. */
const { spawn } = require("node:child_process");
const os = require("node:os");
const path = require("node:path");
const isBuilt = require("./isBuilt");

/**
 * The longest first. TypeScript 7, in native code, checks and builds in a quarter of the processor time; what uses the
 * compiler as a library (eslint, ts-jest, tests) has TypeScript 6.
 */
const CHECKS = [
  ["eslint", "."],
  ["tsc", "-p", "test/tsconfig.json", "--singleThreaded"],
  ["prettier", "--check", "."],
  ["tsc", "-p", "examples", "--singleThreaded"],
  ["words"],
  // last, since a build that runs beside may pass until then, and has checked the same
  ["tsc", "--noEmit", "--singleThreaded"],
];
const PROGRAMS = {
  eslint: "node_modules/eslint/bin/eslint.js",
  prettier: "node_modules/prettier/bin/prettier.cjs",
  tsc: "node_modules/typescript7/bin/tsc",
  words: "scripts/words.js",
};
const root = path.join(__dirname, "..");
/** New objects have more room, in MB, before they are collected: that is an eighth of the time of eslint. */
const ROOM = "--max-semi-space-size=64";

/** @returns the exit code of a check; its output is printed at its end, so that those of others do not mix with it */
function run([name, ...args]) {
  const program = path.join(root, PROGRAMS[name]);
  const words = [ROOM, program, ...args];
  const child = spawn(process.execPath, words, { cwd: root });
  let printed = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text) => (printed += text));
  return new Promise((resolve) => {
    child.once("close", (code) => {
      const verdict = code === 0 ? "ok" : "failed";
      process.stdout.write(`${verdict}: ${[name, ...args].join(" ")}\n`);
      if (code !== 0) process.stdout.write(printed);
      resolve(code ?? 1);
    });
  });
}

async function main() {
  const left = [...CHECKS];
  const work = async () => {
    for (let check = left.shift(); check; check = left.shift()) {
      const isOfBuild = check[0] === "tsc" && check[1] === "--noEmit";
      if (isOfBuild && isBuilt()) continue;
      if ((await run(check)) !== 0) process.exitCode = 1;
    }
  };
  await Promise.all(
    Array.from({ length: os.availableParallelism() }, () => work()),
  );
}

void main();
