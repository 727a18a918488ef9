import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { isDotfile, locate } from "../../src/staticFile/disk";

let base: string;
let root: string;

beforeAll(() => {
  base = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "locate-")));
  root = path.join(base, "public");
  fs.mkdirSync(path.join(root, "sub", "deep"), { recursive: true });
  fs.mkdirSync(path.join(base, "public-secret"));
  fs.writeFileSync(path.join(base, "secret.txt"), "secret");
  fs.writeFileSync(path.join(base, "public-secret", "a.txt"), "secret");
  fs.writeFileSync(path.join(root, "a.txt"), "a");
  fs.writeFileSync(path.join(root, "..dots.txt"), "dots");
  fs.writeFileSync(path.join(root, "sub", "index.html"), "sub");
  fs.symlinkSync("a.txt", path.join(root, "inside-link.txt"));
  fs.symlinkSync(path.join(base, "secret.txt"), path.join(root, "out.txt"));
  fs.symlinkSync(base, path.join(root, "out-folder"));
  fs.symlinkSync("loop", path.join(root, "loop"));
  fs.symlinkSync(
    path.join(base, "secret.txt"),
    path.join(root, "sub", "deep", "index.html"),
  );
});

afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

test.each([
  [".env", true],
  ["..env", true],
  ["sub/.git/config", true],
  ["sub/../.env", true],
  ["./.env", true],
  ["/pub/.folder/sub/.env", true],
  ["a.txt", false],
  ["./a.txt", false],
  ["sub/../a.txt", false],
  ["/pub/.folder/sub/a.txt", false],
  [".well-known/x", false],
  [".well-known/.env", true],
])("%s is a dotfile: %s", (name, expected) => {
  expect(isDotfile("/pub/.folder", name)).toBe(expected);
});

test.each([
  ["a.txt", "a.txt"],
  ["./a.txt", "a.txt"],
  ["sub/../a.txt", "a.txt"],
  ["sub", "sub/index.html"],
  ["sub/", "sub/index.html"],
  ["..dots.txt", "..dots.txt"],
  ["inside-link.txt", "inside-link.txt"],
])("%s is found", async (name, expected) => {
  const found = await locate(root, name, "index.html");
  expect(found?.path).toBe(path.join(root, expected));
});

test("a link within the folder tells the file that it leads to", async () => {
  const found = await locate(root, "inside-link.txt", "index.html");
  expect(found?.realPath).toBe(path.join(root, "a.txt"));
});

test("an absolute name within the folder is found", async () => {
  const name = path.join(root, "a.txt");
  expect((await locate(root, name, "index.html"))?.path).toBe(name);
});

test("the folder may itself be reached by a link", async () => {
  const link = path.join(base, "link-to-public");
  fs.symlinkSync(root, link);
  const found = await locate(link, "a.txt", "index.html");
  expect(found?.realPath).toBe(path.join(root, "a.txt"));
});

test.each([
  "../secret.txt",
  "sub/../../secret.txt",
  "../public-secret/a.txt",
  "out.txt",
  "out-folder/secret.txt",
  "sub/deep",
  "loop",
  "not-there.txt",
  "a.txt/b",
  "a.txt\0.png",
  "\0",
  "..\\secret.txt",
  "sub\\index.html",
  "/etc/passwd",
  "%2e%2e/secret.txt",
  "sub/deep/nothing",
  "x".repeat(5000),
])("%j is not found", async (name) => {
  expect(await locate(root, name, "index.html")).toBeUndefined();
});

test("absolute names outside are not found, a sibling of the same prefix included", async () => {
  for (const name of ["secret.txt", "public-secret/a.txt", "public-secret"]) {
    const outside = path.join(base, name);
    expect(await locate(root, outside, "index.html")).toBeUndefined();
  }
});

test("a folder without an index, and a folder that does not exist, have nothing", async () => {
  expect(await locate(root, "", "nothing.html")).toBeUndefined();
  const missing = path.join(base, "no-such-folder");
  expect(await locate(missing, "a.txt", "index.html")).toBeUndefined();
});

test("folders that are named like the index end somewhere", async () => {
  const deep = path.join(root, "endless", ...Array(12).fill("i"));
  fs.mkdirSync(deep, { recursive: true });
  expect(await locate(root, "endless", "i")).toBeUndefined();
});
