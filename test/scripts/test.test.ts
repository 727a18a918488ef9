import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";

const repository = path.join(__dirname, "../..");
const folders: string[] = [];

afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

const STEADY = `test("is steady", () => undefined);`;
const BROKEN = `test("works", () => undefined); test("is broken", () => { throw new Error("always"); });`;
/** Fails in its first run only. */
const UNSTEADY = `
  const fs = require("node:fs");
  test("is late once", () => {
    if (fs.existsSync("ran")) return;
    fs.writeFileSync("ran", "");
    throw new Error("missed the deadline");
  });`;

/** Runs scripts/test.js in a folder that has these suites, each a text. */
function run(suites: string[], args: string[] = []) {
  const folder = mkdtempSync(path.join(tmpdir(), "ah-scripts-"));
  folders.push(folder);
  mkdirSync(path.join(folder, "test"));
  suites.forEach((text, index) =>
    writeFileSync(path.join(folder, "test", `suite${index}.test.js`), text),
  );
  const reporter = path.join(repository, "test/support/countsReporter.js");
  writeFileSync(
    path.join(folder, "jest.config.js"),
    `module.exports = { transform: {}, reporters: ["default", ${JSON.stringify(reporter)}] };`,
  );
  const options = { cwd: folder, encoding: "utf8", timeout: 50_000 } as const;
  const script = path.join(repository, "scripts/test.js");
  const ran = spawnSync(process.execPath, [script, ...args], options);
  const file = path.join(folder, "tmp/test-counts.json");
  const counts = JSON.parse(readFileSync(file, "utf8")) as {
    passed: number;
    failed: number;
    failures: string[];
    unsteady?: string[];
  };
  return { status: ran.status, output: ran.stderr, counts };
}

test("a suite that passes alone does not fail the run, and is reported with its first error", () => {
  const { status, output, counts } = run([STEADY, UNSTEADY]);
  expect(status).toBe(0);
  expect(counts).toMatchObject({ passed: 2, failed: 0, failures: [] });
  expect(counts.unsteady).toEqual([
    expect.stringMatching(/suite1[^]*is late once[^]*missed the deadline/),
  ]);
  expect(output).toContain("failed in the whole run: test/suite1.test.js");
  expect(output).toContain("tests of both runs: 2 passed, 0 failed");
});

test("a suite that fails again fails the run, and its other tests count once", () => {
  const { status, counts } = run([STEADY, BROKEN]);
  expect(status).toBe(1);
  expect(counts).toMatchObject({ passed: 2, failed: 1 });
  expect(counts.failures[0]).toContain("is broken");
});

test("many failed suites do not run again", () => {
  const { status, counts, output } = run([UNSTEADY, BROKEN, BROKEN, BROKEN]);
  expect(status).toBe(1);
  expect(counts).toMatchObject({ passed: 3, failed: 4 });
  expect(counts.unsteady).toBeUndefined();
  expect(output).not.toContain("run once more");
});

test("suites that lack a program are skipped; a skip by mistake fails the run", () => {
  const leftOut = `test.skip("left out: pages (needs a browser)", () => {});`;
  const { status, counts } = run([STEADY, leftOut]);
  expect(status).toBe(0);
  expect(counts).toMatchObject({ passed: 1, failed: 0 });
  const mistake = run([STEADY, leftOut, `test.skip("adds", () => {});`]);
  expect(mistake.status).toBe(1);
  expect(mistake.counts.failures).toEqual([
    "test/suite2.test.js: 1 tests were skipped",
  ]);
});

test("with arguments it is jest", () => {
  const { status, counts } = run([STEADY, UNSTEADY], ["suite1"]);
  expect(status).toBe(1);
  expect(counts).toMatchObject({ passed: 0, failed: 1 });
});
