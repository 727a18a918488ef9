import { formatTable } from "../../src/cli/cli";

test("columns are as wide as their widest cell", () => {
  const rows = [
    { name: "a", size: 1 },
    { name: "longer", size: 20 },
  ];
  expect(formatTable(rows)).toBe(
    ["name    size", "------  ----", "a       1", "longer  20"].join("\n"),
  );
});

test("a table without rows says so", () => {
  expect(formatTable([])).toBe("(none)");
});
