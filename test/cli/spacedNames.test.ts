import { joinSpacedName } from "../../src/cli/runner";

const names = [
  "generate",
  "generate-action",
  "start",
  "start-cluster",
  "x-y-z",
];

test.each([
  [
    ["generate", "action", "--name=a"],
    ["generate-action", "--name=a"],
  ],
  [["start", "cluster"], ["start-cluster"]],
  [
    ["x", "y", "z", "x"],
    ["x-y-z", "x"],
  ],
  [
    ["help", "generate", "action"],
    ["help", "generate-action"],
  ],
])("%j calls %j", (words, joined) => {
  expect(joinSpacedName(words, names)).toEqual(joined);
});

test.each([
  [["generate"]],
  [["generate", "--action"]],
  [["start", "now"]],
  [["help"]],
  [[]],
])("%j stays as it is", (words) => {
  expect(joinSpacedName(words, names)).toEqual(words);
});
