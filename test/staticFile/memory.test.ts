import {
  REVALIDATE_MS,
  ENTRY_BYTES,
  FileMemory,
} from "../../src/staticFile/results";

function contentOf(text: string, ino = 1, mtimeMs = 1000) {
  const content = Buffer.from(text);
  return {
    content,
    mime: "text/plain",
    length: content.length,
    lastModified: new Date(mtimeMs),
    mtimeMs,
    ctimeMs: 1000,
    ino,
  };
}

test("a file is believed for a while, and then has to be confirmed", () => {
  let now = 5000;
  const memory = new FileMemory(10_000, () => now);
  memory.hold("k", "/a", contentOf("abc"));
  now += REVALIDATE_MS - 1;
  expect(memory.fresh("k")?.content.toString()).toBe("abc");
  now += 1;
  expect(memory.fresh("k")).toBeUndefined();
  const stats = { size: 3, mtimeMs: 1000, ctimeMs: 1000, ino: 1 };
  expect(memory.confirm("k", stats)?.content.toString()).toBe("abc");
  expect(memory.fresh("k")).toBeDefined();
});

test("a clock that goes backwards makes nothing believed for long", () => {
  let now = 5000;
  const memory = new FileMemory(10_000, () => now);
  memory.hold("k", "/a", contentOf("abc"));
  now = 10;
  expect(memory.fresh("k")).toBeUndefined();
});

test.each([
  ["size", { size: 4 }],
  ["time", { mtimeMs: 2000 }],
  ["time of its last change", { ctimeMs: 2000 }],
  ["identity", { ino: 2 }],
])("another %s is another file", (_what, other) => {
  const stats = { size: 3, mtimeMs: 1000, ctimeMs: 1000, ino: 1, ...other };
  const memory = new FileMemory();
  memory.hold("k", "/a", contentOf("abc"));
  expect(memory.confirm("k", stats)).toBeUndefined();
  expect(memory.fresh("k")).toBeUndefined();
});

test("the longest unused file goes first when there is too much", () => {
  const memory = new FileMemory(2 * (ENTRY_BYTES + 7));
  memory.hold("a", "/a", contentOf("aaaa"));
  memory.hold("b", "/b", contentOf("bbbb"));
  memory.confirm("a", { size: 4, mtimeMs: 1000, ctimeMs: 1000, ino: 1 });
  memory.hold("c", "/c", contentOf("cccc"));
  expect(memory.fresh("a")).toBeDefined();
  expect(memory.fresh("b")).toBeUndefined();
  expect(memory.fresh("c")).toBeDefined();
});

test("the bytes of a replaced file are counted once", () => {
  const memory = new FileMemory(2 * (ENTRY_BYTES + 7));
  for (let i = 0; i < 5; i++) memory.hold("a", "/a", contentOf("aaaa"));
  memory.hold("b", "/b", contentOf("bbbb"));
  expect(memory.fresh("a")).toBeDefined();
  expect(memory.fresh("b")).toBeDefined();
});

test("many names of one small file do not fill the memory", () => {
  const memory = new FileMemory(10_000);
  const names = Array.from({ length: 1000 }, (_, i) => `${"./".repeat(i)}a`);
  for (const name of names) memory.hold(name, "/a", contentOf(""));
  const held = names.filter((name) => memory.fresh(name) !== undefined);
  expect(held.length).toBeGreaterThan(0);
  expect(held.join("").length).toBeLessThan(10_000);
});
