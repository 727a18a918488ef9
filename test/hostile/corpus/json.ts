/** JSON documents, as bytes; most of them are never written by a serializer. */

export interface Document {
  name: string;
  bytes: () => Buffer;
}

const doc = (name: string, build: () => string | Buffer): Document => ({
  name,
  bytes: () => Buffer.from(build() as string),
});

const MB = 1024 * 1024;
const filled = (unit: string, bytes: number) =>
  unit.repeat(Math.floor(bytes / unit.length));

/** Whole documents: the value of a body, of a frame's params, of a line's params. */
export const JSON_DOCUMENTS: Document[] = [
  doc(
    "many empty objects in a list",
    () => `{"list":[${filled("{},", 19 * MB)}{}]}`,
  ),
  doc("many empty lists in a list", () => `[${filled("[],", 10 * MB)}[]]`),
  doc(
    "many empty objects, one megabyte",
    () => `{"list":[${filled("{},", MB - 64)}{}]}`,
  ),
  doc("many numbers in a list", () => `{"list":[${filled("1,", MB - 64)}1]}`),
  doc(
    "many keys",
    () => `{${Array.from({ length: 60_000 }, (_, i) => `"k${i}":0`).join()}}`,
  ),
  doc(
    "one key many times",
    () => `{${filled('"text":"a",', MB - 64)}"text":"b"}`,
  ),
  doc("a deep list", () => "[".repeat(100_000) + "]".repeat(100_000)),
  doc("a deep object", () => `${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`),
  doc("a deep list that does not end", () => "[".repeat(500_000)),
  doc("a text that does not end", () => `{"text":"${"a".repeat(500_000)}`),
  doc(
    "a long text of escapes",
    () => `{"text":"${"\\u0000".repeat(100_000)}"}`,
  ),
  doc("a long number", () => `{"number":${"9".repeat(500_000)}}`),
  doc("a number with a large exponent", () => '{"number":1e999999999}'),
  doc("__proto__", () => '{"__proto__":{"polluted":true},"text":"a"}'),
  doc("a nested __proto__", () => '{"object":{"__proto__":{"polluted":true}}}'),
  doc(
    "constructor.prototype",
    () => '{"object":{"constructor":{"prototype":{"polluted":true}}}}',
  ),
  doc(
    "an escaped __proto__",
    () => '{"\\u005f\\u005fproto__":{"polluted":true}}',
  ),
  doc("bytes that are not UTF-8", () =>
    Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
  ),
  doc("overlong UTF-8", () => Buffer.from([0x22, 0xc0, 0xaf, 0x22])),
  doc("UTF-16", () => Buffer.from('\ufeff{"text":"a"}', "utf16le")),
  doc("a byte order mark", () => '\ufeff{"text":"a"}'),
  doc("a null byte at the end", () => '{"text":"a"}\0'),
  doc("two documents", () => '{"text":"a"}{"text":"b"}'),
  doc("a comment", () => '{/* */"text":"a"}'),
  doc("a comma too many", () => '{"text":"a",}'),
  doc("single quotes", () => "{'text':'a'}"),
  doc("NaN", () => '{"number":NaN}'),
  doc("an empty document", () => ""),
  doc("spaces", () => " ".repeat(500_000)),
  ...["null", "true", "1", '"text"', "[]", "[1]", "{}", "-"].map((value) =>
    doc(`the document ${value}`, () => value),
  ),
];
