/** Tables for the terminal. */

/** Rows of equal keys as columns under their names, two spaces apart. */
export function formatTable<R extends object>(rows: readonly R[]): string {
  if (rows.length === 0) return "(none)";
  const columns = Object.keys(rows[0]!) as (keyof R & string)[];
  const widths = columns.map((column) =>
    Math.max(column.length, ...rows.map((row) => String(row[column]).length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd();
  return [
    line(columns),
    line(widths.map((width) => "-".repeat(width))),
    ...rows.map((row) => line(columns.map((column) => String(row[column])))),
  ].join("\n");
}
