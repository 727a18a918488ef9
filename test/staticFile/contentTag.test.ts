import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import {
  ContentTags,
  MAX_HASHED_BYTES,
  tagOfContent,
  type FileIdentity,
} from "../../src/staticFile/disk";

const MiB = 1024 * 1024;
const TIME = new Date("2026-01-02T03:04:05Z");

let folder: string;
let tags: ContentTags;

beforeAll(() => (folder = fs.mkdtempSync(path.join(os.tmpdir(), "tags-"))));
beforeEach(() => (tags = new ContentTags()));
afterAll(() => fs.rmSync(folder, { recursive: true }));

function identityOf(file: string): FileIdentity {
  const { size, mtime, ctimeMs } = fs.statSync(file);
  return { size, lastModified: mtime, ctimeMs };
}

function write(name: string, content: Buffer, time = TIME): string {
  const file = path.join(folder, name);
  fs.writeFileSync(file, content);
  fs.utimesSync(file, time, time);
  return file;
}

const tagOf = (file: string) => tags.of(file, identityOf(file));

test.each([0, 1, 64 * 1024, 300_001, MAX_HASHED_BYTES])(
  "a file of %d bytes has the tag of its bytes, at any time",
  async (length) => {
    const content = Buffer.alloc(length, "content ");
    const file = write("one", content);
    const later = write("other", content, new Date());
    expect(await tagOf(file)).toBe(tagOfContent(content));
    expect(await tagOf(later)).toBe(tagOfContent(content));
  },
);

test("one byte makes another tag", async () => {
  const content = Buffer.alloc(300_000);
  const before = await tagOf(write("byte", content));
  content[299_999] = 1;
  expect(await tagOf(write("byte", content))).not.toBe(before);
});

describe("a longer file", () => {
  const content = Buffer.alloc(MAX_HASHED_BYTES + MiB);

  test("has the same tag where its size, time and bytes are the same", async () => {
    const before = await tagOf(write("long", content));
    expect(await tagOf(write("longCopy", content))).toBe(before);
    const after = await tagOf(write("long", content, new Date()));
    expect(after).not.toBe(before);
  });

  test.each([
    ["beginning", 0],
    ["end", content.length - 1],
  ])("has another tag where its %s differs", async (_what, position) => {
    const before = await tagOf(write("long", content));
    const other = Buffer.from(content);
    other[position] = 1;
    expect(await tagOf(write("long", other))).not.toBe(before);
  });
});

test("a file is read once, until it changes", async () => {
  const open = jest.spyOn(fs.promises, "open");
  try {
    const file = write("read", Buffer.from("once"));
    const two = await Promise.all([tagOf(file), tagOf(file)]);
    expect(two[0]).toBe(two[1]);
    await tagOf(file);
    expect(open).toHaveBeenCalledTimes(1);
    write("read", Buffer.from("twice"));
    await tagOf(file);
    expect(open).toHaveBeenCalledTimes(2);
  } finally {
    open.mockRestore();
  }
});

test("the longest unused file is forgotten first", async () => {
  tags = new ContentTags(2);
  const [a, b, c] = ["a", "b", "c"].map((name) =>
    write(name, Buffer.from(name)),
  ) as [string, string, string];
  for (const file of [a, b, a, c]) await tagOf(file);
  const open = jest.spyOn(fs.promises, "open");
  try {
    await tagOf(a);
    expect(open).not.toHaveBeenCalled();
    await tagOf(b);
    expect(open).toHaveBeenCalledTimes(1);
  } finally {
    open.mockRestore();
  }
});

test("a file that is no longer the one that was opened, or is gone, has no tag", async () => {
  const file = write("changed", Buffer.from("old"));
  const old = identityOf(file);
  write("changed", Buffer.from("newer"));
  expect(await tags.of(file, old)).toBeUndefined();
  fs.rmSync(file);
  expect(await tags.of(file, old)).toBeUndefined();
});
