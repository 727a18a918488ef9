import fs from "node:fs";

interface Row {
  work: string;
  goal: number;
  value: number;
  low: number;
  high: number;
  isHeld: boolean;
}
const { draw, readRows, source, target } =
  require("../../scripts/plotResults") as {
    draw: (markdown: string) => string;
    readRows: (markdown: string) => Row[];
    source: string;
    target: string;
  };

const table = (...rows: string[]) =>
  [
    "# Results",
    "",
    "| work | peer | goal | measured | held |",
    "| ---- | ---- | ---- | -------- | ---- |",
    ...rows,
    "",
    "| work | peer | goal | measured | held |",
  ].join("\n");

describe("the picture of the results", () => {
  test("docs/images/speed.svg is what `npm run bench:plot` draws", () => {
    const drawn = draw(fs.readFileSync(source, "utf8"));
    expect(fs.readFileSync(target, "utf8")).toBe(drawn);
  });

  test("each row of bench/RESULTS.md that has a peer says truly whether its goal is held", () => {
    const rows = readRows(fs.readFileSync(source, "utf8"));
    expect(rows.length).toBeGreaterThan(10);
    for (const { work, value, goal, isHeld } of rows)
      expect([work, isHeld]).toEqual([work, value <= goal]);
  });

  test("a goal of a least speed becomes a time", () => {
    const [row] = readRows(
      table("| load | ioredis | at least 0.8 | 0.5 (0.4-1) | no |"),
    );
    expect(row).toMatchObject({ goal: 1.25, value: 2, low: 1, high: 2.5 });
  });

  test("rows without a peer are left out, other rows must be readable", () => {
    const rows = readRows(
      table(
        "| own share | - | at most 15 % | 20 % | no |",
        "| GET | Fastify | at most 1.0 | 0.9 (0.8-1.1) | yes |",
      ),
    );
    expect(rows.map(({ work }) => work)).toEqual(["GET"]);
    expect(() =>
      readRows(table("| GET | Fastify | small | 1 | yes |")),
    ).toThrow('GET: cannot read "small" and "1"');
    expect(() => readRows("no table")).toThrow("no table with the columns");
  });
});
