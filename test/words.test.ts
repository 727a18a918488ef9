/** The word list of `npm run lint`. */
const { findWords } = require("../scripts/words") as {
  findWords: (
    text: string,
  ) => { line: number; found: string; proposal: string }[];
};

test("a planted sentence is found, with its line and a proposal", () => {
  const text = "/** Sockets.\n *\n * Sorted by a running number. */";
  expect(findWords(text)).toEqual([
    {
      line: 3,
      found: "by a running number",
      proposal: "keyed by an incrementing id",
    },
  ]);
});

test("a sentence that continues in the next line of a comment is found", () => {
  const found = (text: string) => findWords(text).map((one) => one.found);
  expect(found("// else somebody\n  // was faster")).toEqual([
    "somebody was faster",
  ]);
  expect(found(" * Producers of\n * other kinds wake nobody.")).toEqual([
    "of other kinds",
  ]);
});

test("a missing quality is said by not, unless something is over", () => {
  const found = (text: string) => findWords(text).map((one) => one.found);
  expect(found("a name that is no token")).toEqual(["that is no"]);
  expect(found("a job that is no longer queued")).toEqual([]);
});

test("other text is not reported", () => {
  const text = "Open sockets, keyed by an incrementing id. Nobody is named.";
  expect(findWords(text)).toEqual([]);
});
