/** Forms that are made to take long, or much memory. */
import { decodeForm, parseForm } from "../../../src/server/web/body";

const MEBIBYTE = 1024 * 1024;

const parse = (value: string, charset?: string) =>
  Object.fromEntries(
    parseForm(decodeForm(Buffer.from(`key=${value}`), charset, 10)),
  );

/** CPU time of this process, in ms: what else the machine does does not count. */
function cpu(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

test.each([
  ["pluses", "+".repeat(4 * MEBIBYTE), undefined],
  ["pluses in latin1", "+".repeat(4 * MEBIBYTE), "iso-8859-1"],
  ["escapes in latin1", "%41".repeat(2 * MEBIBYTE), "iso-8859-1"],
])("%s take hardly longer than letters", (_what, value, charset) => {
  const letters = "x".repeat(value.length);
  parse(letters, charset);
  const plain = Math.min(
    ...[1, 2, 3].map(() => cpu(() => parse(letters, charset))),
  );
  const hostile = Math.min(
    ...[1, 2, 3].map(() => cpu(() => parse(value, charset))),
  );
  expect(hostile).toBeLessThan(10 * plain + 200);
});

test("pluses are spaces, and escaped ones stay", () => {
  expect(parse("a+b%2Bc")).toEqual({ key: ["a b+c"] });
  expect(parse("a+b%2Bc%E9", "iso-8859-1")).toEqual({ key: ["a b+cé"] });
});

test("an invalid escape is kept", () => {
  expect(parse("100%&x=%4", "iso-8859-1")).toEqual({
    key: ["100%"],
    x: ["%4"],
  });
  expect(parse("%zz%4g%c3%a9", "utf-8")).toEqual({ key: ["%zz%4gé"] });
});

test("the bytes of the body stay as they are", () => {
  const body = Buffer.from("key=a+b");
  parseForm(decodeForm(body, undefined, 10));
  expect(body.toString()).toBe("key=a+b");
});
