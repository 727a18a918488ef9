import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { newUpload, removeLeftovers } from "../../../src/server/web/uploadDisk";

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "leftovers-"));
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

test("files of a process that is no more are removed, those of a living one stay", async () => {
  const own = newUpload({ uploadDir: folder }, "a", null);
  fs.writeFileSync(own.filepath, "in use");
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  const left = own.newFilename.replace(`-${process.pid}-`, `-${pid}-`);
  const earlierLife = own.newFilename.replace(/(-\d+-)[\da-z]+-/, "$1aaaaaaa-");
  const otherHost = own.newFilename.replace(
    /upload-[\da-f]{8}-\d+/,
    `upload-00000000-${pid}`,
  );
  for (const name of [left, earlierLife, otherHost, "somebody-elses"])
    fs.writeFileSync(path.join(folder, name), "x");

  expect(await removeLeftovers(folder)).toBe(2);
  expect(fs.readdirSync(folder).sort()).toEqual(
    [own.newFilename, otherHost, "somebody-elses"].sort(),
  );
});

test("a folder that does not exist has no leftovers", async () => {
  expect(await removeLeftovers(path.join(folder, "no"))).toBe(0);
});

test("only harmless file extensions are kept", () => {
  const name = (original: string) =>
    newUpload({ uploadDir: folder, keepExtensions: true }, original, null)
      .newFilename;
  expect(name("a.tar.gz")).toMatch(/\.gz$/);
  expect(name("a.p/../../x")).not.toContain("/");
  expect(name("a.b c")).not.toContain(" ");
});
