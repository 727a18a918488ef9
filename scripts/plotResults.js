/**
 * `npm run bench:plot`: draws the table of bench/RESULTS.md as docs/images/speed.svg.
 * Each row is a bar: CPU time per operation as a multiple of the peer's, so that 1 is the peer and less is better. Rows
 * whose goal is a least speed ("at least 0.9") are drawn as time, the reciprocal.
 */
const fs = require("node:fs");
const path = require("node:path");

const root = path.join(__dirname, "..");
const source = path.join(root, "bench/RESULTS.md");
const target = path.join(root, "docs/images/speed.svg");

/** The columns of the table, as its header names them. */
const COLUMNS = ["work", "peer", "goal", "measured", "held"];

const BAR_LEFT = 330;
const BAR_WIDTH = 330;
const WIDTH = 800;
const ROW_HEIGHT = 24;
const TOP = 54;
/** The multiple of the peer's time at the right end of the axis; longer bars end there. */
const AXIS_END = 3;

/**
 * @param {string} markdown
 * @returns {{work: string, peer: string, goal: number, value: number, low: number, high: number, isHeld: boolean}[]}
 * @throws {Error} if a row of the table cannot be read
 */
function readRows(markdown) {
  const lines = markdown.split("\n");
  const cellsOf = (line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
  const header = lines.findIndex(
    (line) => cellsOf(line).join() === COLUMNS.join(),
  );
  if (header === -1)
    throw new Error(`no table with the columns ${COLUMNS.join(", ")}`);
  const rows = [];
  for (const line of lines.slice(header + 2)) {
    if (!line.startsWith("|")) break;
    rows.push(readRow(cellsOf(line)));
  }
  return rows.filter((row) => row !== undefined);
}

/** @returns undefined for a row without a peer ("-") */
function readRow([work, peer, goal, measured, held]) {
  if (peer === "-") return undefined;
  const [, kind, limit] = /^at (most|least) ([\d.]+)$/.exec(goal) ?? [];
  const [, middle, low, high] =
    /^([\d.]+) \(([\d.]+)-([\d.]+)\)$/.exec(measured) ?? [];
  if (kind === undefined || middle === undefined)
    throw new Error(`${work}: cannot read "${goal}" and "${measured}"`);
  const times = [limit, middle, low, high].map(Number);
  const [goalTime, value, a, b] =
    kind === "most" ? times : times.map((speed) => 1 / speed);
  return {
    work,
    peer,
    goal: goalTime,
    value,
    low: Math.min(a, b),
    high: Math.max(a, b),
    isHeld: held.startsWith("yes"),
  };
}

const escape = (text) =>
  text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

const x = (times) =>
  Math.round(BAR_LEFT + (Math.min(times, AXIS_END) / AXIS_END) * BAR_WIDTH);

/** @param {string} markdown the text of bench/RESULTS.md @returns {string} the SVG */
function draw(markdown) {
  const rows = readRows(markdown);
  const bottom = TOP + rows.length * ROW_HEIGHT;
  const bars = rows.map((row, i) => {
    const y = TOP + i * ROW_HEIGHT;
    const middle = y + ROW_HEIGHT / 2 - 1;
    return [
      `<text x="${BAR_LEFT - 8}" y="${y + 15}" text-anchor="end">${escape(row.work)} <tspan class="peer">/ ${escape(row.peer)}</tspan></text>`,
      `<rect class="${row.isHeld ? "held" : "missed"}" x="${BAR_LEFT}" y="${y + 4}" width="${x(row.value) - BAR_LEFT}" height="14" rx="2"/>`,
      `<path class="spread" d="M${x(row.low)} ${middle}H${x(row.high)}"/>`,
      `<path class="goal" d="M${x(row.goal)} ${y + 2}v18"/>`,
      `<text x="${BAR_LEFT + BAR_WIDTH + 12}" y="${y + 15}">${row.value.toFixed(2)} <tspan class="peer">goal ${row.goal.toFixed(2)}</tspan></text>`,
    ].join("\n");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + 14}" role="img" aria-label="CPU time per operation as a multiple of the peer's" font-family="system-ui, sans-serif" font-size="12.5">
<style>
text { fill: #1f2937 }
.peer, .note { fill: #6b7280 }
.held { fill: #3b82f6 }
.missed { fill: #f59e0b }
.spread { stroke: #1f2937; stroke-opacity: .55 }
.goal { stroke: #1f2937; stroke-width: 2 }
.one { stroke: #6b7280; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
text { fill: #e5e7eb }
.peer, .note { fill: #9ca3af }
.spread, .goal { stroke: #e5e7eb }
}
</style>
<text x="8" y="18" font-weight="600">Time per operation as a multiple of the peer's: shorter is better</text>
<text class="note" x="8" y="36">1 = the peer; upright line: goal; thin line: least and greatest ratio; amber: goal not reached</text>
<path class="one" d="M${x(1)} ${TOP - 8}V${bottom}"/>
${bars.join("\n")}
</svg>
`;
}

if (require.main === module)
  fs.writeFileSync(target, draw(fs.readFileSync(source, "utf8")));

module.exports = { draw, readRows, source, target };
