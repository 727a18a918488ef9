import {
  escapeControls,
  escapeField,
  escapeFields,
  escapeJson,
  MAX_TEXT_LENGTH,
  quoteField,
} from "../../src/log/escape";

test.each([
  ["a\nb\rc\td", "a\\nb\\rc\\td"],
  ["\u0000\u001b[31m", "\\x00\\x1b[31m"],
  ["\u007f\u0085\u009b", "\\x7f\\x85\\x9b"],
  ["\u2028\u2029", "\\u2028\\u2029"],
  ["plain ünicode 漢 \\n", "plain ünicode 漢 \\n"],
])("control characters of %j are escaped", (text, escaped) => {
  expect(escapeControls(text)).toBe(escaped);
});

test("every character of C0 and C1 is escaped", () => {
  const codes = [
    ...Array(0x20).keys(),
    ...[...Array(0x21).keys()].map((c) => c + 0x7f),
  ];
  for (const code of codes)
    expect(escapeControls(String.fromCharCode(code))).toMatch(
      /^\\[\x21-\x7e]+$/,
    );
});

test("a stack keeps the line breaks before its frames, and no others", () => {
  const stack =
    "Error: a\n2026 - info: forged\n    at run (a.ts:1:1)\n    at b";
  expect(escapeField("stack", stack)).toBe(
    "Error: a\\n2026 - info: forged\n    at run (a.ts:1:1)\n    at b",
  );
});

test("a text of megabytes is truncated, with its length", () => {
  const text = "\u001b".repeat(1_000_000);
  for (const name of ["error", "stack"]) {
    const { [name]: shown } = escapeFields({ [name]: text }) as Record<
      string,
      string
    >;
    expect(shown.length).toBeLessThan(5 * MAX_TEXT_LENGTH);
    expect(shown).toMatch(/^\\x1b.*\.\.\. \(1000000 characters\)$/);
    expect(escapeField(name, text)).toBe(shown);
  }
});

test("a quoted stack keeps its lines, and its quotation marks are escaped", () => {
  const stack = 'Error: a" to="b\\n    at c\n    at run (a.ts:1:1)';
  expect(quoteField("stack", escapeField("stack", stack))).toBe(
    '"Error: a\\" to=\\"b\\\\n    at c\n    at run (a.ts:1:1)"',
  );
});

test("fields without control characters are not copied", () => {
  const fields = { a: "b", number: 1 };
  expect(escapeFields(fields)).toBe(fields);
  expect(escapeFields({ ...fields, c: "\n" })).toEqual({ ...fields, c: "\\n" });
});

test("escaped JSON means the same", () => {
  const value = { text: "\u007f\u0085\u2028\n" };
  const json = escapeJson(JSON.stringify(value));
  expect(json).toMatch(/^[\x20-\x7e]+$/);
  expect(JSON.parse(json)).toEqual(value);
});
