import { runOk } from "../../support/runCli";
import {
  fillCode,
  fillTemplate,
  readTemplate,
  stringLiteral,
} from "../../../src/cli/generate/templates";

test("every placeholder needs a value", () => {
  expect(fillTemplate("%%a%%-%%a%%-%%b%%", { a: "x", b: 1 })).toBe("x-x-1");
  expect(() => fillTemplate("%%c%%", { a: "x" })).toThrow("%%c%%");
});

const descriptions = [
  "plain",
  'with "quotes"',
  "it's",
  `both "quotes" and it's`,
  "back\\slash and\nnew line",
  "a text that is so long that the assignment does not fit on one line of code",
];
const forms = ["action.ts", "action.schema.ts", "action.class.ts"];

test.each([
  ...descriptions.map((description) => [description, forms[0]]),
  ...forms.slice(1).map((form) => [descriptions.at(-1)!, form]),
])("%j in %s is written as prettier writes it", async (description, form) => {
  const code = fillCode(readTemplate(form), {
    name: stringLiteral("someAction"),
    description: stringLiteral(description),
    className: "SomeAction",
    valueName: "someAction",
  });
  const prettier = require.resolve("prettier/bin/prettier.cjs");
  const formatted = await runOk(
    process.execPath,
    [prettier, "--stdin-filepath", "a.ts"],
    { input: code },
  );
  expect(formatted).toBe(code);
  const written = /\bdescription(?: =|:)\s+(.*)[;,]$/m.exec(code)![1];
  expect(JSON.parse(JSON.stringify(eval(written)))).toBe(description);
});
