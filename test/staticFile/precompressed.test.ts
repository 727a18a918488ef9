import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { REVALIDATE_MS, Precompressed } from "../../src/staticFile/results";

let folder: string;
let now: number;
let copies: Precompressed;

const MODIFIED = new Date(1_700_000_000_000);
const file = () => path.join(folder, "app.js");

function write(ending: string, agoMs = 0): void {
  const at = new Date(MODIFIED.getTime() - agoMs);
  fs.writeFileSync(file() + ending, "x");
  fs.utimesSync(file() + ending, at, at);
}

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "copies-"));
  now = 1_000_000;
  copies = new Precompressed(() => now);
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

test("the copies beside a file, the smaller encoding first", async () => {
  expect(await copies.encodingsOf(file(), MODIFIED)).toEqual([]);
  write(".gz");
  write(".br");
  now += REVALIDATE_MS;
  expect(await copies.encodingsOf(file(), MODIFIED)).toEqual(["br", "gzip"]);
});

test("a copy that is older than its file is stale; two seconds are within the granularity of times", async () => {
  write(".br", 2000);
  write(".gz", 2001);
  expect(await copies.encodingsOf(file(), MODIFIED)).toEqual(["br"]);
});

test("what was seen is believed for a while, unless the file changed", async () => {
  write(".br");
  expect(await copies.encodingsOf(file(), MODIFIED)).toEqual(["br"]);
  fs.rmSync(`${file()}.br`);
  now += REVALIDATE_MS - 1;
  expect(await copies.encodingsOf(file(), MODIFIED)).toEqual(["br"]);
  expect(await copies.encodingsOf(file(), new Date())).toEqual([]);
});

test("a folder or a link to elsewhere is no copy", async () => {
  const outside = fs.mkdtempSync(path.join(os.tmpdir(), "outside-"));
  fs.writeFileSync(path.join(outside, "secret"), "x");
  fs.mkdirSync(`${file()}.br`);
  fs.symlinkSync(path.join(outside, "secret"), `${file()}.gz`);
  expect(await copies.encodingsOf(file(), new Date(0))).toEqual([]);
  fs.rmSync(outside, { recursive: true });
});
