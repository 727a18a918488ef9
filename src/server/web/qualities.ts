/** Reads the q-values of `Accept` and `Accept-Encoding` (RFC 9110 section 12.4.2). */

/** The values of a header in lower case with their q-values, in the order of the header. */
export function qualitiesOf(header: string | string[]): Map<string, number> {
  const qualities = new Map<string, number>();
  for (const entry of String(header).split(",")) {
    const [name = "", ...parameters] = entry.split(";");
    const value = name.trim().toLowerCase();
    if (!qualities.has(value)) qualities.set(value, qualityOf(parameters));
  }
  return qualities;
}

/** `;q=0.5`; without it 1, and 0 means "not this one". */
function qualityOf(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const [name = "", value = ""] = parameter.split("=");
    if (name.trim().toLowerCase() !== "q") continue;
    const quality = Number(value.trim());
    return Number.isFinite(quality) ? Math.min(Math.max(quality, 0), 1) : 0;
  }
  return 1;
}
