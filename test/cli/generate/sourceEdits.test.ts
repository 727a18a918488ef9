import type { SourceEdit } from "../../../src/cli/generate/newProjectSettings";
import { editSource } from "../../../src/cli/generate/project";

const SOURCE = "one, two, three, two";
const edit = (...edits: SourceEdit[]) => editSource("a.ts", SOURCE, edits);

test("text is replaced and inserted, whatever the order of the edits", () => {
  const edited = edit(
    { file: "a.ts", find: "three", replace: "3" },
    { file: "a.ts", after: "one", insert: " (1)" },
    { file: "a.ts", after: "one", insert: " (first)" },
  );
  expect(edited).toBe("one (1) (first), two, 3, two");
});

test("edits of other files leave a source alone", () => {
  expect(edit({ file: "b.ts", find: "one", replace: "1" })).toBe(SOURCE);
});

test("an edit does not see what another one wrote", () => {
  const edited = edit(
    { file: "a.ts", find: "one", replace: "three" },
    { file: "a.ts", find: "three", replace: "3" },
  );
  expect(edited).toBe("three, two, 3, two");
});

test.each([
  ["absent", "four", "a.ts does not contain the text: four"],
  ["not unique", "two", "a.ts contains the text more than once: two"],
])("a text that is %s is an error", (_why, text, message) => {
  expect(() => edit({ file: "a.ts", find: text, replace: "" })).toThrow(
    message,
  );
  expect(() => edit({ file: "a.ts", after: text, insert: "" })).toThrow(
    message,
  );
});

test("two replacements that overlap are an error", () => {
  expect(() =>
    edit(
      { file: "a.ts", find: "one, two", replace: "1" },
      { file: "a.ts", find: "two, three", replace: "2" },
    ),
  ).toThrow("two edits of a.ts overlap at: 2");
});
